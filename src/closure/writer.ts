import type { Refusal } from './refuse.ts';
import type { Site } from './runtime.ts';
import type { Template, Value } from './wire.ts';

/** What the writers of nodes ask of the graph they write into (serialize.ts). */
export interface GraphWriter {
  /** A value inside the current node. `step` says how it is reached from there, for error paths: ` -> .db`. */
  encode(value: unknown, step: string): Value;
  /** Number of the node of an object, which is queued when it is new. */
  number(value: object | symbol, step: string): number;
  /** Index of a module URL. */
  module(url: string): number;
  /** Index of the template of a site; `variant` tells apart closures of one site that compile differently. */
  template(site: Site, variant: string, make: () => Template): number;
  /** The object through which the current node was reached first. */
  holder(): object | undefined;
  /** @throws SP_CLOSURE_NOT_SERIALIZABLE for the current node, or with `step` for a value it holds */
  refuse(refusal: Refusal, step?: string, cause?: unknown): never;
}
