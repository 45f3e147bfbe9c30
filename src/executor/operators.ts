/** The narrow operators: one row each, code that takes a record to the next operator. */
import type { PlanNode } from './plan.ts';

export interface OperatorScope {
  readonly async: boolean;
  /** A fresh variable name. */
  id(prefix: string): string;
  /** A name for a value (a user function, say) in the generated code. */
  constant(value: unknown): string;
  /** Declares (or assigns) `variable` as the settled value of `expression`. */
  call(variable: string, expression: string, declare?: boolean): string;
}

type Body = (value: string) => string;
/** Emits the code below this operator, with the given body for each of its records. */
type Upstream = (body: Body) => string;
type Emit = (scope: OperatorScope, node: PlanNode, at: number, upstream: Upstream, body: Body) => string;

/** Per-record operators: `make(scope, node, value)` declares the result and names it. */
function perRecord(make: (scope: OperatorScope, node: PlanNode, value: string, body: Body) => string): Emit {
  return (scope, node, _at, upstream, body) => upstream((value) => make(scope, node, value, body));
}

function forEachOf(scope: OperatorScope, operator: string, iterable: string, body: Body): string {
  const v = scope.id('v');
  const check = `rt.iterable(${iterable}, ${JSON.stringify(operator)})`;
  return scope.async ? `for await (const ${v} of ${check}) {\n${body(v)}}\n` : `for (const ${v} of ${check}) {\n${body(v)}}\n`;
}

const pairOf = (value: string): string => `if (typeof ${value} !== 'object' || ${value} === null || ${value}.length !== 2) rt.notPair(${value});\n`;

/** Calls `f` on an iterator over what is upstream; sync: lazily through a generator, async: over a buffer. */
export function emitIteratorCall(scope: OperatorScope, result: string, upstream: Upstream, call: (iterator: string) => string): string {
  if (scope.async) {
    const buffer = scope.id('buffer');
    return `const ${buffer} = [];\n${upstream((v) => `${buffer}.push(${v});\n`)}${scope.call(result, call(`${buffer}[Symbol.iterator]()`))}`;
  }
  const generator = scope.id('up');
  return `const ${generator} = function* () {\n${upstream((v) => `yield ${v};\n`)}};\n${scope.call(result, call(`${generator}()`))}`;
}

const partitions =
  (withIndex: boolean): Emit =>
  (scope, node, at, upstream, body) => {
    const result = scope.id('r');
    const f = scope.constant(node.params['f']);
    const name = withIndex ? 'mapPartitionsWithIndex' : 'mapPartitions';
    return (
      emitIteratorCall(scope, result, upstream, (iterator) => (withIndex ? `${f}(rt.partition(${at}), ${iterator})` : `${f}(${iterator})`)) +
      forEachOf(scope, name, result, body)
    );
  };

const OPERATORS: Readonly<Record<string, Emit>> = {
  map: perRecord((scope, node, value, body) => {
    const r = scope.id('v');
    return scope.call(r, `${scope.constant(node.params['f'])}(${value})`) + body(r);
  }),
  filter: perRecord((scope, node, value, body) => {
    const r = scope.id('keep');
    return `${scope.call(r, `${scope.constant(node.params['f'])}(${value})`)}if (${r}) {\n${body(value)}}\n`;
  }),
  flatMap: perRecord((scope, node, value, body) => {
    const r = scope.id('r');
    return scope.call(r, `${scope.constant(node.params['f'])}(${value})`) + forEachOf(scope, 'flatMap', r, body);
  }),
  mapPartitions: partitions(false),
  mapPartitionsWithIndex: partitions(true),
  keyBy: perRecord((scope, node, value, body) => {
    const k = scope.id('k');
    const pair = scope.id('v');
    return `${scope.call(k, `${scope.constant(node.params['f'])}(${value})`)}const ${pair} = [${k}, ${value}];\n${body(pair)}`;
  }),
  mapValues: perRecord((scope, node, value, body) => {
    const r = scope.id('x');
    const pair = scope.id('v');
    return `${pairOf(value)}${scope.call(r, `${scope.constant(node.params['f'])}(${value}[1])`)}const ${pair} = [${value}[0], ${r}];\n${body(pair)}`;
  }),
  flatMapValues: perRecord((scope, node, value, body) => {
    const r = scope.id('r');
    const pair = scope.id('v');
    const inner = forEachOf(scope, 'flatMapValues', r, (x) => `const ${pair} = [${value}[0], ${x}];\n${body(pair)}`);
    return pairOf(value) + scope.call(r, `${scope.constant(node.params['f'])}(${value}[1])`) + inner;
  }),
  keys: perRecord((_scope, _node, value, body) => pairOf(value) + body(`${value}[0]`)),
  values: perRecord((_scope, _node, value, body) => pairOf(value) + body(`${value}[1]`)),
  /** x -> [x, null], for distinct and repartitioning. */
  withNull: perRecord((scope, _node, value, body) => {
    const pair = scope.id('v');
    return `const ${pair} = [${value}, null];\n${body(pair)}`;
  }),
  /** [k, [left[], right[]]] -> [k, [l, r]] for each combination; a missing side is undefined. */
  joinValues: perRecord((scope, node, value, body) => {
    const r = scope.id('r');
    return `const ${r} = rt.joinPairs(${value}, ${JSON.stringify(node.params['kind'])});\n${forEachOf(scope, 'join', r, body)}`;
  }),
  /** Which parent feeds it is the pipeline's path. */
  union: (_scope, _node, _at, upstream, body) => upstream(body),
  /** One record a partition: [sampled keys, number of records]; a bounded reservoir. */
  sampleKeys: (scope, node, at, upstream, body) => {
    const sample = scope.id('sample');
    const v = scope.id('v');
    return (
      `const ${sample} = rt.reservoir(${Number(node.params['size'])}, ${at});\n` +
      upstream((value) => `${pairOf(value)}${sample}.add(${value}[0]);\n`) +
      `const ${v} = [${sample}.items, ${sample}.count];\n${body(v)}`
    );
  },
  glom: (scope, _node, _at, upstream, body) => {
    const all = scope.id('all');
    return `const ${all} = [];\n${upstream((v) => `${all}.push(${v});\n`)}${body(all)}`;
  },
};

const AT_MOST_ONE = new Set(['map', 'filter', 'keyBy', 'mapValues', 'keys', 'values', 'withNull', 'union']);

/** True: of one record it makes one or none, by itself. */
export function givesAtMostOne(op: string): boolean {
  return AT_MOST_ONE.has(op);
}

export function emitOperator(scope: OperatorScope, node: PlanNode, at: number, upstream: Upstream, body: Body): string {
  const emit = OPERATORS[node.op];
  if (emit === undefined) throw new RangeError(`no operator ${node.op}`);
  return emit(scope, node, at, upstream, body);
}
