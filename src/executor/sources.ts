/** The sources of a stage: code that produces its first records. `source` is what `openSource` (run-task.ts) made of the payload. */
import { declareCombine, emitCreate, emitMerge, emitUpsert } from './combine.ts';
import type { OperatorScope } from './operators.ts';
import type { Aggregator, PlanNode } from './plan.ts';

type Body = (value: string) => string;

function overPairs(scope: OperatorScope, keys: string, values: string, body: Body): string {
  const i = scope.id('i');
  const v = scope.id('v');
  return `for (let ${i} = 0; ${i} < ${keys}.length; ${i}++) { const ${v} = [${keys}[${i}], ${values}[${i}]];\n${body(v)}}\n`;
}

/** Loops over the pair columns of input `input`. */
function overInput(scope: OperatorScope, input: number, body: (key: string, value: string) => string): string {
  const [column, i, k, x] = [scope.id('column'), scope.id('i'), scope.id('k'), scope.id('x')];
  return (
    `for (const ${column} of source.columns(${input})) for (let ${i} = 0; ${i} < ${column}.keys.length; ${i}++) {\n` +
    `const ${k} = ${column}.keys[${i}], ${x} = ${column}.values[${i}];\n${body(k, x)}}\n`
  );
}

/** Sources whose records are counted: where a loop over them was left, another can go on. */
const COUNTED: Readonly<Record<string, (scope: OperatorScope) => { readonly before: string; readonly count: string; readonly record: (i: string) => string }>> =
  {
    parallelize: () => ({ before: '', count: 'source.length', record: (i) => `source[${i}]` }),
    range: (scope) => {
      const [start, step, count] = [scope.id('start'), scope.id('step'), scope.id('count')];
      return { before: `const ${start} = source.start, ${step} = source.step, ${count} = source.count;\n`, count, record: (i) => `${start} + ${i} * ${step}` };
    },
  };

export function isCounted(op: string): boolean {
  return Object.hasOwn(COUNTED, op);
}

/** Goes on from the record that variable `i` says. */
function emitCounted(scope: OperatorScope, op: string, i: string, body: Body): string {
  const { before, count, record } = COUNTED[op]!(scope);
  const v = scope.id('v');
  return `${before}for (; ${i} < ${count}; ${i}++) { const ${v} = ${record(i)};\n${body(v)}}\n`;
}

const SOURCES: Readonly<Record<string, (scope: OperatorScope, node: PlanNode, body: Body) => string>> = {
  textFile: (scope, _node, body) => {
    const lines = scope.id('lines');
    const i = scope.id('i');
    const v = scope.id('v');
    return (
      `for (let ${lines} = source.next(); ${lines} !== undefined; ${lines} = source.next()) ` +
      `for (let ${i} = 0; ${i} < ${lines}.length; ${i}++) { const ${v} = ${lines}[${i}];\n${body(v)}}\n`
    );
  },
  /** Records of one shuffle as they come: partitionBy. */
  shuffled: (scope, _node, body) =>
    overInput(scope, 0, (k, x) => {
      const v = scope.id('v');
      return `const ${v} = [${k}, ${x}];\n${body(v)}`;
    }),
  /** Pairs of one shuffle in key order. */
  sorted: (scope, node, body) => {
    const all = scope.id('sorted');
    const compare = node.params['compare'] === undefined ? 'undefined' : scope.constant(node.params['compare']);
    return `const ${all} = source.sorted(${node.params['ascending'] === true}, ${compare});\n${overPairs(scope, `${all}.keys`, `${all}.values`, body)}`;
  },
  /** Combined by key; `combined` says that the map side has combined already. */
  combined: (scope, node, body) => {
    const aggregator = node.params['aggregator'] as Aggregator;
    const afterCombine = node.params['mapSideCombine'] === true;
    const { vars, code } = declareCombine(scope);
    const loop = overInput(scope, 0, (k, x) => {
      const create = afterCombine ? `${vars.values}.push(${x});` : emitCreate(scope, aggregator, vars, x);
      return emitUpsert(scope, vars, k, create, (slot) => emitMerge(scope, aggregator, vars, slot, x, afterCombine));
    });
    return code + loop + overPairs(scope, vars.keys, vars.values, body);
  },
  /** [key, [values of input 0, values of input 1, ...]] */
  cogroup: (scope, node, body) => {
    const inputs = node.params['inputs'] as number;
    const { vars, code } = declareCombine(scope);
    const empty = `[${Array.from({ length: inputs }, () => '[]').join(', ')}]`;
    let loops = '';
    for (let j = 0; j < inputs; j++) {
      loops += overInput(scope, j, (k, x) => {
        const groups = scope.id('groups');
        const create = `const ${groups} = ${empty}; ${groups}[${j}].push(${x}); ${vars.values}.push(${groups});`;
        return emitUpsert(scope, vars, k, create, (slot) => `${vars.values}[${slot}][${j}].push(${x});`);
      });
    }
    return code + loops + overPairs(scope, vars.keys, vars.values, body);
  },
};

/** @param i a variable that counts the records of a source that is counted; others have no use for it */
export function emitSource(scope: OperatorScope, node: PlanNode, body: Body, i?: string): string {
  if (isCounted(node.op)) {
    const own = scope.id('i');
    return i === undefined ? `let ${own} = 0;\n${emitCounted(scope, node.op, own, body)}` : emitCounted(scope, node.op, i, body);
  }
  const emit = SOURCES[node.op];
  if (emit === undefined) throw new RangeError(`no source ${node.op}`);
  return emit(scope, node, body);
}
