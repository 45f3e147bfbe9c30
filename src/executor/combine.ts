/** Code for combining values by key in an index map: one look-up a record, keys and values as parallel arrays. */
import type { OperatorScope } from './operators.ts';
import type { Aggregator } from './plan.ts';

/** Names of the variables that hold keys and combined values. */
export interface CombineVars {
  readonly keys: string;
  readonly values: string;
  readonly primitives: string;
  readonly objects: string;
}

export function declareCombine(scope: OperatorScope): { vars: CombineVars; code: string } {
  const vars = { keys: scope.id('keys'), values: scope.id('values'), primitives: scope.id('map'), objects: scope.id('objects') };
  return { vars, code: `const ${vars.keys} = [], ${vars.values} = [], ${vars.primitives} = new Map(), ${vars.objects} = new Map();\n` };
}

/** Finds the slot of key `k`; `onNew` must push one value, `onKnown(slot)` updates it. */
export function emitUpsert(scope: OperatorScope, vars: CombineVars, k: string, onNew: string, onKnown: (slot: string) => string): string {
  const slot = scope.id('slot');
  const id = scope.id('id');
  return (
    `const ${id} = typeof ${k} === 'object' && ${k} !== null ? rt.canonical(${k}) : ${k};\n` +
    `const ${slot} = ${id} === ${k} ? ${vars.primitives}.get(${id}) : ${k} === ${k} ? ${vars.objects}.get(${id}) : ${vars.primitives}.get(${id});\n` +
    `if (${slot} === undefined) { if (${id} === ${k} || ${k} !== ${k}) ${vars.primitives}.set(${id}, ${vars.keys}.length); else ${vars.objects}.set(${id}, ${vars.keys}.length);\n` +
    `${vars.keys}.push(${k}); ${onNew} } else { ${onKnown(slot)} }\n`
  );
}

/** Code that pushes the first combiner of a key from value `x`. */
export function emitCreate(scope: OperatorScope, aggregator: Aggregator, vars: CombineVars, x: string): string {
  if ('builtin' in aggregator) {
    const first = { first: x, count: '1', group: `[${x}]` }[aggregator.builtin];
    return `${vars.values}.push(${first});`;
  }
  if (aggregator.zero !== undefined) {
    const r = scope.id('c');
    return `${scope.call(r, `${scope.constant(aggregator.mergeValue)}(rt.fresh(${scope.constant(aggregator.zero)}), ${x})`)}${vars.values}.push(${r});`;
  }
  if (aggregator.createCombiner === undefined) return `${vars.values}.push(${x});`;
  const r = scope.id('c');
  return `${scope.call(r, `${scope.constant(aggregator.createCombiner)}(${x})`)}${vars.values}.push(${r});`;
}

/** Code that merges `x` into slot: a value on the map side, a combiner after a map-side combine. */
export function emitMerge(scope: OperatorScope, aggregator: Aggregator, vars: CombineVars, slot: string, x: string, combiners: boolean): string {
  if ('builtin' in aggregator) {
    if (aggregator.builtin === 'first') return '';
    if (aggregator.builtin === 'count') return `${vars.values}[${slot}] += ${combiners ? x : '1'};`;
    return combiners ? `for (const one of ${x}) ${vars.values}[${slot}].push(one);` : `${vars.values}[${slot}].push(${x});`;
  }
  const f = scope.constant(combiners ? aggregator.mergeCombiners : aggregator.mergeValue);
  const r = scope.id('c');
  return `${scope.call(r, `${f}(${vars.values}[${slot}], ${x})`)}${vars.values}[${slot}] = ${r};`;
}
