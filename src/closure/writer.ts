import type { Refusal } from './refuse.ts';
import type { Site, Thunk } from './runtime.ts';
import type { Template, Value } from './wire.ts';

/** How a value is reached from its holder, for error paths: an index, `.key` of a property, or text such as ` -> cfg`. Formatted only when needed. */
export type Step = number | string;

/** What the writers of nodes ask of the graph they write into (serialize.ts). */
export interface GraphWriter {
  /** A value inside the current node.  */
  encode(value: unknown, step: Step): Value;
  /** A symbol that is a key of the current node. `foreign`: refused in the end, unless code that travels knows it too. */
  key(symbol: symbol, step: string, foreign: boolean): Value;
  /** Number of the node of an object, which is queued when it is new. */
  number(value: object | symbol, step: Step): number;
  /** The bytes of a view (its node): bytes of `buffer` that views have in common stay in common, others do not travel. */
  shareBytes(buffer: ArrayBuffer, view: readonly unknown[]): void;
  /** Index of a module URL. */
  module(url: string): number;
  /** Index of the template of a site; `variant` tells apart closures of one site that compile differently. */
  template(site: Site, variant: string, make: () => Template): number;
  /** Node of a mutated binding: one for all closures over it. */
  cell(binding: object, thunk: Thunk, slot: number, name: string): number;
  /** The object through which the current node was reached first. */
  holder(): object | undefined;
  /** @throws SP_CLOSURE_NOT_SERIALIZABLE for the current node, or with `step` for a value it holds */
  refuse(refusal: Refusal, step?: string, cause?: unknown): never;
}
