import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  after,
  afterReturning,
  afterThrowing,
  around,
  before,
  editSource,
  execution,
  get as getter,
  registerLoadTimeAspect,
  within,
  type Advice,
} from '../../src/aspects/index.ts';

/*
 * Random classes and random advice against a plain oracle: a function that says, by AspectJ's rules and no code of ours, which
 * lines the program writes.
 */

const KINDS = ['before', 'after', 'afterReturning', 'afterThrowing', 'around', 'aroundTwice', 'aroundNever', 'aroundOther'] as const;
type Kind = (typeof KINDS)[number];

interface Piece {
  readonly kind: Kind;
  readonly order: number;
  readonly id: number;
}

interface Method {
  readonly name: string;
  readonly form: 'method' | 'private' | 'static' | 'getter' | 'generator' | 'async' | 'function' | 'arrow';
  readonly throws: boolean;
}

const pieces = fc
  .array(fc.record({ kind: fc.constantFrom(...KINDS), order: fc.integer({ min: 0, max: 2 }) }), { maxLength: 5 })
  .map((list) => list.map((one, id): Piece => ({ ...one, id })));
const methods = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('alpha', 'beta', 'gamma', 'delta'),
    form: fc.constantFrom<Method['form']>('method', 'private', 'static', 'getter', 'async', 'function', 'arrow'),
    throws: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4, selector: ({ name }) => name },
);

const log: string[] = [];
(globalThis as { propertyLog?: string[] }).propertyLog = log;

function adviceOf({ kind, order, id }: Piece): Advice {
  const say = (what: string): void => void log.push(`${what}${id}`);
  switch (kind) {
    case 'before':
      return before(() => say('before'), { order });
    case 'after':
      return after((jp) => say(`after(${jp.error === undefined ? 'ok' : 'error'})`), { order });
    case 'afterReturning':
      return afterReturning((_jp, result) => say(`returned(${String(result)})`), { order });
    case 'afterThrowing':
      return afterThrowing((_jp, error) => say(`threw(${(error as Error).message})`), { order });
    case 'around':
      return around(
        (_jp, proceed) => {
          say('in');
          return proceed() as unknown;
        },
        { order },
      );
    case 'aroundTwice':
      return around(
        (_jp, proceed) => {
          say('twice');
          // The second counts.
          try {
            const first: unknown = proceed();
            if (first instanceof Promise) first.catch(() => undefined);
          } catch {
            // as above
          }
          return proceed() as unknown;
        },
        { order },
      );
    case 'aroundNever':
      return around(
        () => {
          say('never');
          return `never${id}`;
        },
        { order },
      );
    case 'aroundOther':
      return around((jp) => jp.proceedWith([`other${id}`] as never) as unknown, { order });
  }
}

type Outcome = { readonly value: string } | { readonly error: string };

/** What is written when the chain runs around a body; synchronous semantics. */
function oracle(list: readonly Piece[], name: string, throws: boolean, argument: string | undefined, lines: string[]): Outcome {
  // Lower order outside. Of equals, all of one aspect: after advice outside, the later the further; then what is declared first; after advice
  // before all of that is inside it.
  const first = list.findIndex(({ kind }) => !kind.startsWith('after'));
  const rank = ({ kind, id }: Piece): number =>
    !kind.startsWith('after') ? list.length + id : list.findIndex((one) => one.id === id) < first ? 1000 - id : -id;
  const chain = list.toSorted((a, b) => a.order - b.order || rank(a) - rank(b));
  const runFrom = (at: number, arg: string | undefined): Outcome => {
    const one = chain[at];
    if (one === undefined) {
      lines.push(`body ${name} ${String(arg)}`);
      return throws ? { error: name } : { value: `${name}!` };
    }
    const inner = (given = arg): Outcome => runFrom(at + 1, given);
    switch (one.kind) {
      case 'before':
        lines.push(`before${one.id}`);
        return inner();
      case 'around':
        lines.push(`in${one.id}`);
        return inner();
      case 'aroundTwice':
        lines.push(`twice${one.id}`);
        inner();
        return inner();
      case 'aroundNever':
        lines.push(`never${one.id}`);
        return { value: `never${one.id}` };
      case 'aroundOther':
        return inner(`other${one.id}`);
      default: {
        const outcome = inner();
        if (one.kind === 'after') lines.push(`after(${'error' in outcome ? 'error' : 'ok'})${one.id}`);
        else if (one.kind === 'afterReturning' && 'value' in outcome) lines.push(`returned(${outcome.value})${one.id}`);
        else if (one.kind === 'afterThrowing' && 'error' in outcome) lines.push(`threw(${outcome.error})${one.id}`);
        return outcome;
      }
    }
  };
  return runFrom(0, argument);
}

function sourceOf(list: readonly Method[]): string {
  const body = ({ name, throws }: Method, arg: string): string =>
    `{ globalThis.propertyLog.push('body ${name} ' + ${arg}); ${throws ? `throw new Error('${name}')` : `return '${name}!'`} }`;
  const members = list.map((one) => {
    switch (one.form) {
      case 'private':
        return `#${one.name}(a) ${body(one, 'a')} call_${one.name}(a) { return this.#${one.name}(a) }`;
      case 'static':
        return `static ${one.name}(a) ${body(one, 'a')}`;
      case 'getter':
        return `get ${one.name}() ${body(one, 'undefined')}`;
      case 'async':
        return `async ${one.name}(a) ${body(one, 'a')}`;
      case 'method':
        return `${one.name}(a) ${body(one, 'a')}`;
      default:
        return '';
    }
  });
  const functions = list.map((one) =>
    one.form === 'function'
      ? `export function ${one.name}(a) ${body(one, 'a')}`
      : one.form === 'arrow'
        ? `export const ${one.name} = (a) => ${body(one, 'a')};`
        : '',
  );
  const run = list.map(({ name, form }) => {
    const call = {
      private: `new Hidden().call_${name}('x')`,
      static: `Hidden.${name}('x')`,
      getter: `new Hidden().${name}`,
      function: `${name}('x')`,
      arrow: `${name}('x')`,
    }[form as string];
    // A name that no pointcut asks for: the caller is not woven.
    return `run_${name}: async () => ${call ?? `new Hidden().${name}('x')`}`;
  });
  return `${functions.join('\n')}\nclass Hidden { ${members.join('\n')} }\nexport const run = {${run.join()}};`;
}

let count = 0;

test('random classes under random advice write what the oracle says, woven at load time', async () => {
  await fc.assert(
    fc.asyncProperty(methods, pieces, async (list, advice) => {
      const url = `file:///property/m${++count}.js`;
      const name = (one: Method): string => (one.form === 'private' ? `#${one.name}` : one.name);
      const here = within(`/property/m${count}.js`);
      const handle = registerLoadTimeAspect(
        advice.map((piece) => ({
          pointcut: here.and(execution(/^#?(alpha|beta|gamma|delta)$/).or(...list.filter(({ form }) => form === 'getter').map((one) => getter(name(one))))),
          advice: adviceOf(piece),
        })),
      );
      try {
        const source = `/*${count}*/${sourceOf(list)}`;
        const text = editSource({ url, format: 'module', source })?.code ?? source;
        const { run } = (await import(`data:text/javascript,${encodeURIComponent(text)}`)) as { run: Record<string, () => Promise<string>> };
        for (const method of list) {
          const ends = async (): Promise<Outcome> =>
            run[`run_${method.name}`]!().then(
              (value) => ({ value }),
              (error: Error) => ({ error: error.message }),
            );
          // What is proceeded twice or settles later has the same lines in another order where a promise is made: sorted there.
          const order = (lines: readonly string[]): readonly string[] => (method.form === 'async' ? lines.toSorted() : lines);
          log.length = 0;
          const outcome = await ends();
          const expected: string[] = [];
          const told = oracle(advice, method.name, method.throws, method.form === 'getter' ? undefined : 'x', expected);
          const arguments_ = (lines: readonly string[]): readonly string[] =>
            method.form === 'getter' ? lines.map((line) => line.replace(/^(body \w+) .*/, '$1')) : [...lines];
          expect([method, order(arguments_(log))]).toEqual([method, order(arguments_(expected))]);
          expect(outcome).toEqual(told);
          handle.disable();
          log.length = 0;
          await ends();
          expect(log).toEqual([`body ${method.name} ${method.form === 'getter' ? 'undefined' : 'x'}`]);
          handle.enable();
        }
      } finally {
        handle.unweave();
      }
    }),
    { numRuns: 150 },
  );
});
