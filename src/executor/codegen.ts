/**
 * Turns a pipeline of a stage (one source, fused operators, one sink) into one JavaScript function, so that a record
 * passes through all operators in one loop without an iterator or a call per operator boundary.
 * Source: whole-stage code generation, T. Neumann, "Efficiently Compiling Efficient Query Plans for Modern Hardware", VLDB 2011.
 *
 * Each pipeline has a sync form and an async form, which awaits each call, in order. Where an async function is among its functions it
 * is run in the async form. Otherwise the sync form is used until a function returns a promise; then `rt.async(promise)` ends it and
 * the task is run again in the async form.
 */
import { types } from 'node:util';
import { emitOperator, givesAtMostOne } from './operators.ts';
import { emitSource, isCounted } from './sources.ts';
import { emitSink, type PipelineScope } from './sinks.ts';
import type { PlanNode, StagePlan } from './plan.ts';

/** A compiled pipeline: runs one partition and gives the sink's value. */
export type CompiledPipeline = (rt: unknown, source: unknown) => unknown;

/** Writes code; the scope handed to operators, sources and sinks. */
export class Generator implements PipelineScope {
  readonly async: boolean;
  readonly functions: unknown[] = [];
  readonly #plan: StagePlan;
  readonly #path: readonly number[];
  #ids = 0;

  constructor(plan: StagePlan, path: readonly number[], async: boolean) {
    this.#plan = plan;
    this.#path = path;
    this.async = async;
  }

  id(prefix: string): string {
    return `${prefix}${++this.#ids}`;
  }

  constant(value: unknown): string {
    const at = this.functions.indexOf(value);
    return `c${at >= 0 ? at : this.functions.push(value) - 1}`;
  }

  call(variable: string, expression: string, declare = true): string {
    const wait = this.async ? `${variable} = await ${variable};` : `throw rt.async(${variable});`;
    return `${declare ? 'let ' : ''}${variable} = ${expression}; if (${variable} instanceof Promise) ${wait}\n`;
  }

  /** Code that runs the pipeline up to position `at` of the path and `body` for each record; from the record that `counter` says, if it is given. */
  upTo(at: number, body: (value: string) => string, counter?: string): string {
    const node = this.#plan.nodes[this.#path[at] as number] as PlanNode;
    const plain = (b: (value: string) => string): string =>
      at === 0 ? emitSource(this, node, b, counter) : emitOperator(this, node, at, (inner) => this.upTo(at - 1, inner, counter), b);
    return node.cacheId === undefined ? plain(body) : this.#cached(node.cacheId, at, plain, body);
  }

  /**
   * As `upTo`, with a body of its own for the first record. Undefined: of this pipeline no loop can be left and gone on with.
   * One loop for all keeps what it sums up boxed, as it begins with nothing, and runs at half the speed as often as not.
   */
  inTwo(at: number, first: (value: string) => string, rest: (value: string) => string): string | undefined {
    const nodes = this.#path.slice(0, at + 1).map((index) => this.#plan.nodes[index] as PlanNode);
    if (!isCounted(nodes[0]!.op) || nodes.some(({ op, cacheId }, i) => cacheId !== undefined || (i > 0 && !givesAtMostOne(op)))) return undefined;
    const counter = this.id('i');
    const untilFirst = this.upTo(at, (v) => `${first(v)}${counter}++; break first;\n`, counter);
    return `let ${counter} = 0;\nfirst: {\n${untilFirst}}\n{\n${this.upTo(at, rest, counter)}}\n`;
  }

  #cached(cacheId: number, at: number, plain: (b: (value: string) => string) => string, body: (value: string) => string): string {
    const block = this.id('block');
    const i = this.id('i');
    const v = this.id('v');
    return (
      `let ${block} = rt.getBlock(${cacheId}, ${at});\n` +
      `if (${block} === undefined) { ${block} = [];\n${plain((x) => `${block}.push(${x});\n`)}rt.putBlock(${cacheId}, ${at}, ${block}); }\n` +
      `for (let ${i} = 0; ${i} < ${block}.length; ${i}++) { const ${v} = ${block}[${i}];\n${body(v)}}\n`
    );
  }

  get last(): number {
    return this.#path.length - 1;
  }

  program(): string {
    const body = emitSink(this, this.#plan.sink, this.last);
    const constants = this.functions.map((_, i) => `const c${i} = C[${i}];`).join(' ');
    return `'use strict'; ${constants}\nreturn ${this.async ? 'async ' : ''}function stage(rt, source) {\n${body}}\n`;
  }
}

let serial = 0;

/** Compiles one pipeline; `path` lists node indexes from the source up to the last node. Undefined: it has no sync form. */
export function compilePipeline(plan: StagePlan, path: readonly number[], async: true): CompiledPipeline;
export function compilePipeline(plan: StagePlan, path: readonly number[], async: false): CompiledPipeline | undefined;
export function compilePipeline(plan: StagePlan, path: readonly number[], async: boolean): CompiledPipeline | undefined {
  const generator = new Generator(plan, path, async);
  const code = generator.program();
  if (!async && generator.functions.some((fn) => types.isAsyncFunction(fn))) return undefined;
  // The source is ours: user functions enter as values, never as text.
  const make = new Function('C', `${code}//# sourceURL=spark-proxy-stage-${++serial}.js`) as (constants: unknown[]) => CompiledPipeline;
  return make(generator.functions);
}
