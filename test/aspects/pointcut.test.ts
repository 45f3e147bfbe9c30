import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { and, construct, execution, get, named, not, or, set, within, type Shadow } from '../../src/aspects/index.ts';
import { compileGlob } from '../../src/aspects/pattern.ts';

const shadow = (over: Partial<Shadow> = {}): Shadow => ({
  kind: 'execution',
  name: 'submit',
  declaringType: 'Orders',
  isStatic: false,
  module: undefined,
  ...over,
});
const code = (value: string) => expect.objectContaining({ code: value });

describe('pointcuts', () => {
  test('match by name, glob, regular expression, symbol and type', () => {
    for (const yes of ['submit', 'sub*', 's?bmit', '{submit,cancel}', 'Orders.submit', 'Ord*.sub*', '*', /^sub/, /(?<name>sub)mit/g]) {
      const pointcut = execution(yes);
      // Twice: a global regular expression must not remember where it stopped.
      expect([yes, pointcut.matches(shadow()), pointcut.matches(shadow())]).toEqual([yes, true, true]);
    }
    for (const no of ['submi', 'Submit', 'Jobs.submit', '?submit', /^x/, Symbol('submit')]) expect([no, execution(no).matches(shadow())]).toEqual([no, false]);
    expect(execution(Symbol.iterator).matches(shadow({ name: Symbol.iterator }))).toBe(true);
    expect(execution('*').matches(shadow({ name: Symbol.iterator }))).toBe(false);
  });

  test('tell kinds apart', () => {
    expect(get('submit').matches(shadow())).toBe(false);
    expect(get('size').matches(shadow({ kind: 'get', name: 'size' }))).toBe(true);
    expect(set('size').matches(shadow({ kind: 'get', name: 'size' }))).toBe(false);
    expect(construct().matches(shadow({ kind: 'construct', name: 'Orders' }))).toBe(true);
    expect(construct('Jobs').matches(shadow({ kind: 'construct', name: 'Orders' }))).toBe(false);
    expect(named('Orders').matches(shadow({ kind: 'construct', name: 'Orders' }))).toBe(true);
  });

  test('compose', () => {
    const either = or(execution('a'), execution('b'));
    expect(either.matches(shadow({ name: 'b' }))).toBe(true);
    expect(either.not().matches(shadow({ name: 'b' }))).toBe(false);
    expect(and(execution('*'), not(named('a'))).matches(shadow({ name: 'a' }))).toBe(false);
    expect(
      execution('*')
        .and(named('a').not())
        .matches(shadow({ name: 'b' })),
    ).toBe(true);
  });

  test('within matches module paths', () => {
    const at = (module: string): Shadow => shadow({ module });
    expect(within('**/orders.js').matches(at('file:///srv/app/orders.js?v=1'))).toBe(true);
    expect(within('**/app/*.js').matches(at('file:///srv/app/orders.js'))).toBe(true);
    expect(within('**/srv/*.js').matches(at('file:///srv/app/orders.js'))).toBe(false);
    expect(within('/srv/**').matches(at('file:///srv/app/a%20b.js'))).toBe(true);
    expect(within('**/a b.{js,ts}').matches(at('file:///srv/app/a%20b.ts'))).toBe(true);
    expect(within('**').matches(shadow())).toBe(false);
  });

  test('decide from part of a shadow only what is certain', () => {
    const pointcut = within('**/orders.js').and(execution('Orders.submit'));
    expect(pointcut.evaluate({ module: 'file:///jobs.js' })).toBe(false);
    expect(pointcut.evaluate({ module: 'file:///orders.js' })).toBe(undefined);
    expect(pointcut.evaluate({ module: 'file:///orders.js', declaringType: 'Jobs' })).toBe(false);
    expect(pointcut.not().evaluate({ module: 'file:///jobs.js' })).toBe(true);
    expect(or(within('**/a.js'), execution('x')).evaluate({ module: 'file:///a.js' })).toBe(true);
  });

  test('know the texts a module must have, and whether they are bound to modules', () => {
    const here = within('**/orders.js');
    expect(here.and(execution('Orders.submit')).requiredTexts).toEqual(['Orders']);
    expect(or(construct('A'), execution('b')).requiredTexts).toEqual(['A', 'b']);
    expect(or(construct('A'), execution('b*')).requiredTexts).toBeUndefined();
    expect(execution('a').not().requiredTexts).toBeUndefined();
    expect(here.and(execution('Orders.submit')).names).toEqual(new Set(['submit']));
    expect(or(execution('A.a'), get('b')).names).toEqual(new Set(['a', 'b']));
    expect(or(execution('a'), execution('b*')).names).toBeUndefined();
    expect(or(execution('a'), construct('A')).names).toBeUndefined();
    expect(execution('a').not().names).toBeUndefined();
    expect([here.and(construct()), here.or(construct()), here.not(), or(here, here)].map((pointcut) => pointcut.boundToModule)).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });

  test('read well', () => {
    expect(String(within('**/a.js').and(execution('submit').or(get(/^s/)), not(construct())))).toBe(
      "within('**/a.js') && (execution('submit') || get(/^s/)) && !construct()",
    );
    expect(String(or(execution('a'), execution('b')).not())).toBe("!(execution('a') || execution('b'))");
    expect(String(execution(Symbol.iterator))).toBe('execution(Symbol.iterator)');
  });

  test('are equal by value', () => {
    expect(
      execution('a')
        .and(named(/x/))
        .equals(execution('a').and(named(/x/))),
    ).toBe(true);
    expect(execution('/x/').equals(execution(/x/))).toBe(false);
    expect(execution('a').equals(get('a'))).toBe(false);
    expect(
      execution('a')
        .or(execution('b'))
        .equals(execution('a').and(execution('b'))),
    ).toBe(false);
    expect(execution('a').not().not().equals(execution('a'))).toBe(false);
    expect(execution(Symbol('a')).equals(execution(Symbol('a')))).toBe(false);
    expect(execution(Symbol.iterator).equals(execution(Symbol.iterator))).toBe(true);
    expect(execution('a').equals('a')).toBe(false);
    expect(and(execution('a'), execution('b'), execution('c')).equals(execution('a').and(execution('b')).and(execution('c')))).toBe(true);
  });

  test('refuse patterns that are none, or that cannot run in linear time', () => {
    for (const bad of ['', '{a', /(?=a)b/, /(?<!a)b/, /(a)\1/, /(?<n>a)\k<n>/, new RegExp('[a--b]', 'v'), /(a{1000}){1000}/, 5]) {
      expect(() => execution(bad as never)).toThrow(code('SP_ASPECTS_BAD_PATTERN'));
    }
    for (const good of [/^(?:save|load)[A-Z]\w*$/, /(ab)+/, /[(a+)+]/, /(a+)+$/, /(a|b)*c/, /((a*)b){2,}/, /a{1,3}/, /\(a\)/])
      expect(() => execution(good)).not.toThrow();
    expect(() => within('')).toThrow(code('SP_ASPECTS_BAD_PATTERN'));
    expect(() => execution('a').and('b' as never)).toThrow(code('SP_ASPECTS_BAD_POINTCUT'));
  });

  test('globs agree with regular expressions', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '?'), maxLength: 6 });
    const texts = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 });
    fc.assert(
      fc.property(letters, texts, (glob, text) => {
        const source = glob
          .replaceAll(/(^|\/)\*\*+\//g, (_whole, before: string) => `${before}\u0001`)
          .replaceAll(/\*\*+/g, '\u0002')
          .replaceAll('*', '[^/]*')
          .replaceAll('?', '[^/]')
          .replaceAll('\u0001', '(?:.*/)?')
          .replaceAll('\u0002', '.*');
        fc.pre(!/\*\*+\/\*\*/.test(glob));
        expect([glob, text, compileGlob(glob, true)(text)]).toEqual([glob, text, new RegExp(`^${source}$`).test(text)]);
      }),
      { numRuns: 2000 },
    );
  });
});
