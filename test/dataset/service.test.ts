/** A task asks the driver's service for its transaction by stage id: the four cases. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { JobTransactions } from '../../src/dataset/job-transactions.ts';
import { startService, type DatasetService } from '../../src/dataset/service.ts';
import type { DriverTransaction } from '../../src/dataset/transaction.ts';
import { FakeClock } from '../registry/fake-clock.ts';

interface Asked {
  readonly status: number;
  readonly id?: string;
  readonly code?: string;
}

describe('the dataset service', () => {
  let clock: FakeClock;
  let jobs: JobTransactions;
  let service: DatasetService;
  let begun: string[];
  let ended: string[];
  let beginFails: boolean;

  /** Stands for a transaction: its name, and how it ended. */
  const transaction = (id: string): DriverTransaction =>
    ({
      id,
      flush: () => Promise.resolve(),
      snapshot: () => Promise.resolve({ readVersion: begun.length, excluded: [], own: [] }),
      attemptVersion: () => Promise.resolve(7),
      commit: () => Promise.resolve(void ended.push(`${id} committed`)),
      abort: () => void ended.push(`${id} aborted`),
    }) as unknown as DriverTransaction;

  beforeEach(async () => {
    clock = new FakeClock();
    begun = [];
    ended = [];
    beginFails = false;
    jobs = new JobTransactions({
      clock,
      begin() {
        if (beginFails) throw new RangeError('the store is away');
        begun.push(`tx${begun.length}`);
        return transaction(begun.at(-1) as string);
      },
      find: (id) => (id === 'explicit' ? transaction(id) : undefined),
      failed: () => undefined,
    });
    service = await startService('127.0.0.1', jobs, { url: 'sqlite:/tmp/x.db' });
  });
  afterEach(() => service.close());

  const ask = async (stage: number | string, what = 'transaction', token = service.token): Promise<Asked> => {
    const response = await fetch(`${service.url}/stages/${stage}/${what}`, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
    const body = (await response.json()) as { transaction?: { id: string }; error?: { code?: string; message: string } };
    return {
      status: response.status,
      ...(body.transaction && { id: body.transaction.id }),
      ...(body.error && { code: body.error.code ?? body.error.message }),
    };
  };
  /** A question that must still be waiting: another one, asked later, is answered first. */
  const stillWaiting = async (question: Promise<Asked>): Promise<boolean> => {
    let done = false;
    void question.then(() => (done = true));
    for (let i = 0; i < 3; i++) await ask('x');
    return !done;
  };

  test('a known stage without a transaction: one is begun, and later questions of its job get the same', async () => {
    jobs.jobStarted({ jobId: 1, stageIds: [3, 4] });
    expect(await Promise.all([ask(3), ask(4), ask(3)])).toEqual(new Array(3).fill({ status: 200, id: 'tx0' }));
    expect(begun).toEqual(['tx0']);
    jobs.jobEnded(1, undefined);
    expect(ended).toEqual(['tx0 committed']);
  });

  test('a stage that is not known yet: the question waits until its job is announced', async () => {
    const early = [ask(9), ask(9)];
    expect(await stillWaiting(early[0] as Promise<Asked>)).toBe(true);
    jobs.jobStarted({ jobId: 2, stageIds: [8] });
    expect(await stillWaiting(early[0] as Promise<Asked>)).toBe(true);
    jobs.jobStarted({ jobId: 3, stageIds: [9] });
    expect(await Promise.all(early)).toEqual(new Array(2).fill({ status: 200, id: 'tx0' }));
  });

  test('a stage that is never announced: an error after half a minute', async () => {
    const question = ask(9);
    expect(await stillWaiting(question)).toBe(true);
    clock.advance(30_000);
    expect(await question).toEqual({ status: 500, code: 'SP_DATASET_JOB_UNKNOWN' });
  });

  test('a job that is over: 410 at once, and no transaction is begun', async () => {
    jobs.jobStarted({ jobId: 1, stageIds: [3] });
    jobs.jobEnded(1, undefined);
    expect(await ask(3)).toEqual({ status: 410, code: 'SP_DATASET_JOB_OVER' });
    expect(await ask(3, 'version')).toEqual({ status: 410, code: 'SP_DATASET_JOB_OVER' });
    expect(begun).toEqual([]);
    expect(ended).toEqual([]);
  });

  test('a begin that failed: its error, at once, and no second begin', async () => {
    jobs.jobStarted({ jobId: 1, stageIds: [3] });
    beginFails = true;
    expect((await ask(3)).code).toBe('the store is away');
    beginFails = false;
    expect((await ask(3)).code).toBe('the store is away');
    expect(begun).toEqual([]);
  });

  test('a failed job aborts', async () => {
    jobs.jobStarted({ jobId: 1, stageIds: [3] });
    await ask(3);
    jobs.jobEnded(1, new Error('no'));
    expect(ended).toEqual(['tx0 aborted']);
  });

  test('jobs of one action share its transaction, which the action ends', async () => {
    jobs.beginAction('a');
    jobs.jobStarted({ jobId: 1, stageIds: [1], action: 'a' });
    await ask(1);
    jobs.jobEnded(1, undefined);
    jobs.jobStarted({ jobId: 2, stageIds: [2], action: 'a' });
    expect((await ask(2)).id).toBe('tx0');
    jobs.jobEnded(2, undefined);
    expect(ended).toEqual([]);
    await jobs.endAction('a');
    expect(ended).toEqual(['tx0 committed']);
  });

  test('a job of an explicit transaction joins it and ends nothing; one that has ended is refused', async () => {
    jobs.jobStarted({ jobId: 1, stageIds: [1], transaction: 'explicit' });
    expect((await ask(1)).id).toBe('explicit');
    jobs.jobEnded(1, undefined);
    expect(ended).toEqual([]);
    jobs.jobStarted({ jobId: 2, stageIds: [2], transaction: 'gone' });
    expect(await ask(2)).toEqual({ status: 410, code: 'SP_DATASET_TRANSACTION_ENDED' });
  });

  test('a stage that two jobs share belongs to the older, and then to the other', async () => {
    jobs.jobStarted({ jobId: 1, stageIds: [1, 2] });
    jobs.jobStarted({ jobId: 2, stageIds: [1, 3] });
    const [older, newer] = [await ask(1), await ask(3)];
    expect(older.id).not.toBe(newer.id);
    jobs.jobEnded(1, undefined);
    expect((await ask(1)).id).toBe(newer.id);
  });

  test('without the token nothing is said, and paths are what they are', async () => {
    jobs.jobStarted({ jobId: 1, stageIds: [3] });
    expect(await ask(3, 'transaction', 'wrong')).toEqual({ status: 401 });
    expect(await ask(3, 'transaction', `${service.token.slice(0, -1)}x`)).toEqual({ status: 401 });
    for (const path of ['-1', 'x', '3x', '99999999999999999999']) expect((await ask(path)).status).toBe(404);
    expect((await ask(3, 'nothing')).status).toBe(404);
    expect(begun).toEqual([]);
  });
});
