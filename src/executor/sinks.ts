/** The sinks of a stage: code that ends the loop and gives the task's value. */
import { declareCombine, emitCreate, emitMerge, emitUpsert } from './combine.ts';
import { emitIteratorCall, type OperatorScope } from './operators.ts';
import type { Sink } from './plan.ts';

export interface PipelineScope extends OperatorScope {
  /** Code that runs the pipeline up to position `at` and `body` for each record. */
  upTo(at: number, body: (value: string) => string): string;
  /** The same, with a body for the first record; undefined where that cannot be. */
  inTwo(at: number, first: (value: string) => string, rest: (value: string) => string): string | undefined;
}

export function emitSink(g: PipelineScope, sink: Sink, last: number): string {
  switch (sink.type) {
    case 'collect':
      return `const out = [];\n${g.upTo(last, (v) => `out.push(${v});\n`)}return out;\n`;
    case 'count':
      return `let n = 0;\n${g.upTo(last, () => 'n++;\n')}return n;\n`;
    case 'take':
      return `const out = [];\ntaken: {\n${g.upTo(last, (v) => `out.push(${v}); if (out.length >= ${sink.count}) break taken;\n`)}}\nreturn out;\n`;
    case 'reduce': {
      const f = g.constant(sink.f);
      const first = (v: string): string => `acc = ${v}; has = true;\n`;
      const rest = (v: string): string => g.call('acc', `${f}(acc, ${v})`, false);
      const loops = g.inTwo(last, first, rest) ?? g.upTo(last, (v) => `if (has) { ${rest(v)} } else { ${first(v)} }\n`);
      return `let has = false, acc;\n${loops}return has ? [acc] : [];\n`;
    }
    case 'aggregate': {
      const f = g.constant(sink.seqOp);
      return `let acc = rt.fresh(${g.constant(sink.zero)});\n${g.upTo(last, (v) => g.call('acc', `${f}(acc, ${v})`, false))}return acc;\n`;
    }
    case 'foreach': {
      const f = g.constant(sink.f);
      return g.upTo(last, (v) => g.call(g.id('done'), `${f}(${v})`));
    }
    case 'partition':
      return (
        emitIteratorCall(
          g,
          'result',
          (body) => g.upTo(last, body),
          (iterator) => `${g.constant(sink.f)}(${iterator}, rt.partition(${last}))`,
        ) + 'return result;\n'
      );
    case 'saveText':
      return `const file = rt.textWriter();\n${g.upTo(last, (v) => `file.line(${v});\n`)}return file.close();\n`;
    case 'shuffle':
      return emitShuffle(g, sink, last);
  }
}

function emitShuffle(g: PipelineScope, sink: Extract<Sink, { type: 'shuffle' }>, last: number): string {
  const [k, x] = ['key', 'value'];
  const pair = (v: string): string =>
    `if (typeof ${v} !== 'object' || ${v} === null || ${v}.length !== 2) rt.notPair(${v});\nconst ${k} = ${v}[0], ${x} = ${v}[1];\n`;
  const { aggregator } = sink;
  if (aggregator === undefined) {
    return `const buffers = rt.buffers();\n${g.upTo(last, (v) => `${pair(v)}buffers.add(rt.partitionOf(${k}), ${k}, ${x});\n`)}return rt.writeShuffle(buffers);\n`;
  }
  const { vars, code } = declareCombine(g);
  const upsert = (): string => emitUpsert(g, vars, k, emitCreate(g, aggregator, vars, x), (slot) => emitMerge(g, aggregator, vars, slot, x, false));
  return `${code}${g.upTo(last, (v) => `{ ${pair(v)}${upsert()} }\n`)}return rt.writeCombined(${vars.keys}, ${vars.values});\n`;
}
