import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { after, around, before, execution, explain, weave, weaveAspect } from '../../src/aspects/index.ts';

function watchWarnings() {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  onTestFinished(() => warn.mockRestore());
  return warn;
}

describe('a pointcut that matches nothing', () => {
  test('is warned of with a code and with what there is', () => {
    const warn = watchWarnings();
    class Quiet {
      submit(): void {}
    }
    const handle = weave(
      Quiet,
      execution('sbumit'),
      before(() => undefined),
    );
    expect(handle.joinPoints).toEqual([]);
    expect(handle.enabled).toBe(false);
    expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringMatching(/execution\('sbumit'\).*Quiet[^]*Quiet\.submit/), {
      type: 'SparkProxyWarning',
      code: 'SP_ASPECTS_NO_MATCH',
    });
    expect(explain().unmatched).toContainEqual({ pointcut: "execution('sbumit')", advice: '', target: 'Quiet' });
  });

  test('is an error when strict, and nothing is woven', () => {
    class Strict {
      submit(): number {
        return 1;
      }
    }
    const original = Strict.prototype.submit;
    expect(() =>
      weave(
        Strict,
        execution('x'),
        before(() => undefined),
        { strict: true },
      ),
    ).toThrow(expect.objectContaining({ code: 'SP_ASPECTS_NO_MATCH' }));
    expect(Strict.prototype.submit).toBe(original);
  });
});

describe('explain', () => {
  test('lists advice in the order in which it runs, with its state', () => {
    class Explained {
      submit(): void {}
    }
    const inner = weave(
      Explained,
      execution('submit'),
      around((_jp, proceed) => proceed(), { name: 'inner', order: 2 }),
    );
    weave(
      Explained,
      execution('sub*'),
      after(function outer() {}, { order: 1 }),
    );
    inner.disable();
    const mine = () => explain().joinPoints.filter(({ joinPoint }) => joinPoint === 'Explained.submit');
    expect(mine()).toEqual([
      {
        joinPoint: 'Explained.submit',
        kind: 'execution',
        module: undefined,
        advice: [
          { kind: 'after', name: 'outer', order: 1, pointcut: "execution('sub*')", enabled: true },
          { kind: 'around', name: 'inner', order: 2, pointcut: "execution('submit')", enabled: false },
        ],
      },
    ]);
    expect(String(explain())).toContain(
      "Explained.submit\n  after outer order=1 by execution('sub*')\n  around inner order=2 by execution('submit') [disabled]",
    );
  });

  test('forgets what is unwoven', () => {
    const target = { onlyHere: () => 1 };
    const handle = weave(
      target,
      execution('onlyHere'),
      before(() => undefined),
    );
    const listed = () => explain().joinPoints.some(({ joinPoint }) => joinPoint === 'Object.onlyHere');
    expect(listed()).toBe(true);
    handle.unweave();
    expect(listed()).toBe(false);
  });
});

test('what cannot be woven is refused with a code', () => {
  const code = (value: string) => expect.objectContaining({ code: value });
  expect(() =>
    weave(
      null as never,
      execution('x'),
      before(() => undefined),
    ),
  ).toThrow(code('SP_ASPECTS_NOT_A_TARGET'));
  expect(() =>
    weave(
      {},
      'x' as never,
      before(() => undefined),
    ),
  ).toThrow(code('SP_ASPECTS_BAD_POINTCUT'));
  expect(() => weave({}, execution('x'), {} as never)).toThrow(code('SP_ASPECTS_BAD_ADVICE'));
  expect(() => before(5 as never)).toThrow(code('SP_ASPECTS_BAD_ADVICE'));
  expect(() => weaveAspect({}, {})).toThrow(code('SP_ASPECTS_NOT_AN_ASPECT'));
});
