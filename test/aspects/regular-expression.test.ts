import fc from 'fast-check';
import { expect, test } from 'vitest';
import { execution } from '../../src/aspects/index.ts';
import { compileRegularExpression } from '../../src/aspects/regular-expression.ts';

const atoms = fc.constantFrom('a', 'b', 'A', '.', '[ab]', '[^a]', '\\w', '\\d', '\\b', '\\B', '^', '$', '1', ' ', '\\n', '\\x61', '\\u0062');
const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { depthSize: 'small' },
    atoms,
    fc.array(tie('expression'), { maxLength: 3 }).map((parts) => parts.join('')),
    fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `(?:${a}|${b})`),
    fc
      .tuple(tie('expression'), fc.constantFrom('(', '(?:', '(?<n>'), fc.constantFrom('*', '+', '?', '*?', '+?', '{2}', '{1,}', '{0,2}', ''))
      .map(([inner, open, times]) => `${open.replace('n', `n${inner.length}`)}${inner})${times}`),
  ),
}));

test('agrees with the RegExp of the engine', () => {
  fc.assert(
    fc.property(
      expression,
      fc.constantFrom('', 'i', 'u', 'm', 's', 'iu'),
      fc.string({ unit: fc.constantFrom('a', 'b', 'A', '1', ' ', '\n', 'é'), maxLength: 6 }),
      (source, flags, text) => {
        let engine: RegExp;
        try {
          engine = new RegExp(source, flags);
        } catch {
          return; // such as two groups of one name
        }
        expect([source, flags, text, compileRegularExpression(engine)(text)]).toEqual([source, flags, text, engine.test(text)]);
      },
    ),
    { numRuns: 5000 },
  );
});

test('expressions that hang a backtracking engine take linear time', () => {
  const long = `${'a'.repeat(20_000)}!`;
  for (const evil of [/^(a+)+$/, /^(a|aa)+$/, /^(a|a?)+$/, /^(.*a){10}$/, /a*a*a*a*b/]) {
    const pointcut = execution(evil);
    const started = process.cpuUsage();
    expect(pointcut.matches({ kind: 'execution', name: long, declaringType: 'X', isStatic: false, module: undefined })).toBe(false);
    const { user } = process.cpuUsage(started);
    expect(user / 1e6).toBeLessThan(10);
  }
});
