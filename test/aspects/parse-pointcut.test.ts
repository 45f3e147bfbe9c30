import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { and, annotated, call, cflow, construct, execution, get, named, not, or, parsePointcut, set, within, type Pointcut } from '../../src/aspects/index.ts';

const names = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'B', '_', '$', '*', '?', '.', "'", '\\', '"', ' ', '#', '(', ')', 'é', '\n'), minLength: 1, maxLength: 8 }),
  fc.constantFrom('Orders.submit', '{a,b}*', '#secret'),
);
const patterns = fc.oneof(
  names,
  fc.constantFrom<RegExp>(/^s/, /a\/b[/)]+/i, /\//u, /[\]/]x{2,}/, /(a|b)*c/),
  fc.constantFrom(Symbol.iterator, Symbol.asyncIterator, Symbol.for("it's")),
);
const texts = fc.oneof(fc.constantFrom('**/orders.js', '/srv/**', 'pkg:hono@^4', 'pkg:@nestjs/*'), names);
/** Names that are refused (an empty part before a dot, say) are no pointcuts. */
const made = <T>(arbitrary: fc.Arbitrary<T>, make: (value: T) => Pointcut): fc.Arbitrary<Pointcut> =>
  arbitrary.map((value) => {
    try {
      return make(value);
    } catch {
      return execution('*');
    }
  });
const { pointcut } = fc.letrec<{ pointcut: Pointcut }>((tie) => ({
  pointcut: fc.oneof(
    { depthSize: 'small' },
    made(patterns, (pattern) => execution(pattern)),
    ...[call, get, set, named, annotated, construct].map((designator) => made(patterns, (pattern) => (designator as (pattern: unknown) => Pointcut)(pattern))),
    made(texts, within),
    fc.array(tie('pointcut'), { minLength: 1, maxLength: 3 }).map(([first, ...others]) => and(first!, ...others)),
    fc.array(tie('pointcut'), { minLength: 1, maxLength: 3 }).map(([first, ...others]) => or(first!, ...others)),
    tie('pointcut').map(not),
    tie('pointcut').map(cflow),
  ),
}));

const refused = (text: string): { message: string; code: string } => {
  try {
    parsePointcut(text);
  } catch (error) {
    return error as { message: string; code: string };
  }
  throw new Error(`not refused: ${text}`);
};

describe('pointcuts as text', () => {
  test('what is written is what is read: parse(toString(p)) equals p', () => {
    fc.assert(
      fc.property(pointcut, (given) => {
        const read = parsePointcut(String(given));
        expect(read.equals(given)).toBe(true);
        expect(String(read)).toBe(String(given));
      }),
      { numRuns: 1000 },
    );
  });

  test('any text is read or refused with a place, never anything else', () => {
    const words = fc.constantFrom(
      'execution',
      'cflow',
      'within',
      '(',
      ')',
      "'",
      '/',
      '\\',
      '&&',
      '||',
      '!',
      'a',
      '*',
      ' ',
      '\n',
      'Symbol.',
      '{',
      'pkg:@',
      '🙂',
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 12 }), (parts) => {
        const text = parts.join('');
        try {
          parsePointcut(text);
        } catch (error) {
          expect(error).toMatchObject({ code: 'SP_ASPECTS_POINTCUT_SYNTAX' });
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('reads bare patterns, quotes of both kinds, and precedence', () => {
    const equal = (text: string, to: Pointcut): void =>
      expect([text, String(parsePointcut(text)), parsePointcut(text).equals(to)]).toEqual([text, String(to), true]);
    equal('execution(Orders.save*)', execution('Orders.save*'));
    equal('within(/srv/app/**) && !construct()', within('/srv/app/**').and(construct().not()));
    equal('execution("it\'s") || get(/^s(a|b)/i) && set(x)', execution("it's").or(get(/^s(a|b)/i).and(set('x'))));
    equal('  ! ( execution( a )||call( b ) )\n', execution('a').or(call('b')).not());
    equal('cflow(execution(handle) && within(pkg:hono@^4))', cflow(execution('handle').and(within('pkg:hono@^4'))));
    equal('execution(Symbol.iterator)', execution(Symbol.iterator));
  });

  test('points at a mistake', () => {
    const { message, code } = refused("execution('a') &&\n  exectuion('b')");
    expect(code).toBe('SP_ASPECTS_POINTCUT_SYNTAX');
    expect(message).toContain('line 2, column 3 of a pointcut: no pointcut is called exectuion');
    expect(message).toContain("\n    exectuion('b')\n    ^");
    for (const [text, place, why] of [
      ['', 'line 1, column 1', 'expected a pointcut'],
      ["execution('a'", 'line 1, column 14', 'expected ) before the end'],
      ["execution('a) ", 'line 1, column 11', 'not closed'],
      ['execution(a) execution(b)', 'line 1, column 14', 'expected && or ||'],
      ['named()', 'line 1, column 7', 'named needs a pattern'],
      ['execution(/(a)\\1/)', 'line 1, column 11', 'backreference'],
      ['execution(Symbol.nothing)', 'line 1, column 11', 'well-known symbols'],
      ['within(pkg:a@x.y)', 'line 1, column 8', 'not a version range'],
      [`${'('.repeat(500)}execution(a)`, 'line 1', 'nested more than 100 deep'],
    ] as const) {
      const { message: told } = refused(text);
      expect([text, told.includes(place), told.includes(why)]).toEqual([text, true, true]);
    }
  });
});
