import assert from 'node:assert/strict';
import { around, annotated, annotation, before, cflow, execution, parsePointcut, weave } from '../../../src/aspects/index.ts';
import type { Cases } from './fixture.ts';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function bank() {
  const log: string[] = [];
  class Bank {
    transfer(): void {
      this.debit();
    }
    async transferLater(): Promise<void> {
      await tick();
      this.debit();
    }
    *statement(): Generator<number> {
      this.debit();
      yield 1;
      this.debit();
    }
    debit(): string {
      log.push('debit');
      return 'debited';
    }
  }
  return { Bank, bank: new Bank(), log };
}

/** Pointcuts that are answered when the join point runs, and annotations. */
export const dynamic: Cases = {
  'cflow matches below its join points only': () => {
    const { Bank, bank: one, log } = bank();
    const handle = weave(
      Bank,
      execution('debit').and(cflow(execution('transfer'))),
      before(() => void log.push('advice')),
    );
    one.debit();
    one.transfer();
    one.debit();
    assert.deepEqual(log.splice(0), ['debit', 'advice', 'debit', 'debit']);
    handle.unweave();
    one.transfer();
    assert.deepEqual(log, ['debit']);
  },
  'cflow follows awaits, and calls that run meanwhile are outside': async () => {
    const { Bank, bank: one, log } = bank();
    weave(
      Bank,
      execution('debit').and(cflow(execution('transferLater'))),
      before(() => void log.push('advice')),
    );
    const running = one.transferLater();
    one.debit();
    assert.deepEqual(log.splice(0), ['debit']);
    await running;
    one.debit();
    assert.deepEqual(log, ['advice', 'debit', 'debit']);
  },
  'cflow of a generator covers each of its steps, and not what is between': () => {
    const { Bank, bank: one, log } = bank();
    weave(
      Bank,
      execution('debit').and(cflow(execution('statement'))),
      before(() => void log.push('advice')),
    );
    for (const _ of one.statement()) one.debit();
    assert.deepEqual(log, ['advice', 'debit', 'debit', 'advice', 'debit']);
  },
  'the negation of cflow, and around advice that it lets pass': () => {
    const { Bank, bank: one, log } = bank();
    weave(
      Bank,
      execution('debit').and(cflow(execution('transfer')).not()),
      around(() => 'refused'),
    );
    assert.equal(one.debit(), 'refused');
    one.transfer();
    assert.deepEqual(log, ['debit']);
  },
  'cflow is switched together with its advice': () => {
    const { Bank, bank: one, log } = bank();
    const handle = weave(
      Bank,
      parsePointcut('execution(debit) && cflow(execution(transfer))'),
      before(() => void log.push('advice')),
    );
    const woven = Object.getOwnPropertyDescriptor(Bank.prototype, 'debit')!.value as unknown;
    handle.disable();
    assert.notEqual(Bank.prototype.debit, woven);
    one.transfer();
    handle.enable();
    one.transfer();
    assert.deepEqual(log, ['debit', 'advice', 'debit']);
  },
  'annotated matches methods and classes by what was said of them': () => {
    const Cached = annotation<[ttlMs: number]>('Cached');
    const Audited = annotation('Audited');
    class Rates {
      today(): number {
        return 1;
      }
      ever(): number {
        return 2;
      }
    }
    const descriptor = Object.getOwnPropertyDescriptor(Rates.prototype, 'today')!;
    Cached(500)(Rates.prototype, 'today', descriptor);
    const handle = weave(
      Rates,
      annotated(Cached),
      around((_jp, proceed) => (proceed() as number) * 10),
    );
    assert.deepEqual([new Rates().today(), new Rates().ever(), Cached.of(Rates.prototype.today)], [10, 2, 500]);
    assert.deepEqual(handle.joinPoints, ['Rates.today']);
    Audited()(Rates);
    const all = weave(
      Rates,
      annotated('Aud*').and(execution('*')),
      around((_jp, proceed) => (proceed() as number) + 1),
    );
    assert.deepEqual([new Rates().today(), new Rates().ever(), Audited.of(Rates)], [20, 3, true]);
    all.unweave();
  },
  'annotated reads reflect-metadata where the program has it': () => {
    const reflect = Reflect as { getMetadataKeys?: (target: object, key?: string) => string[] };
    class Rates {
      today(): number {
        return 1;
      }
    }
    reflect.getMetadataKeys = (target, key) => (target === Rates.prototype && key === 'today' ? ['cache'] : []);
    try {
      weave(
        Rates,
        annotated('cache'),
        around(() => 7),
      );
    } finally {
      delete reflect.getMetadataKeys;
    }
    assert.equal(new Rates().today(), 7);
  },
};
