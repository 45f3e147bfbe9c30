import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/core/ids.ts';
import type { TaskInfo, WorkerInfo } from '../../src/protocol/admin.ts';
import { sharedRabbitmq } from '../support/rabbitmq.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';
import { Cluster, freePort, killAll, SUMS, SUMS_ANSWER } from './cluster.ts';
import type { Running } from './run-program.ts';

const SECOND = 1000;
let cluster: Cluster | undefined;
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

/** Gives each test a cluster of its own. */
type Open = () => Promise<Cluster>;

const overTcp: Open = async () => (cluster = new Cluster(`tcp://127.0.0.1:${await freePort()}`));
const overBroker =
  (url: () => string): Open =>
  async () =>
    (cluster = new Cluster(`${url()}?cluster=${newId('e2e')}`));

/** Where the tasks of a program ran, by its summary. */
function ran(program: Running): { readonly inside: number; readonly outside: number } {
  const rows = [...program.output.stderr.matchAll(/^\S+\s+\d+\s+(inside|external)\s+(\d+)/gm)];
  const sum = (where: string): number => rows.filter((row) => row[1] === where).reduce((total, row) => total + Number(row[2]), 0);
  return { inside: sum('inside'), outside: sum('external') };
}

async function right(program: Running): Promise<void> {
  const code = await program.ended;
  expect(`${code} ${program.output.stdout.trim()}`, program.output.stderr).toBe(`0 ${SUMS_ANSWER}`);
}

function serves(open: Open): void {
  test('two applications share the workers; operators see them, and where each task ran', { timeout: 120 * SECOND }, async () => {
    const c = await open();
    await c.dispatcher();
    const worker = await c.worker(4);
    const programs = await Promise.all([c.program(), c.program()]);
    const status = await c.until(({ applications }) => applications.filter((application) => application.attached && application.live > 0).length > 0);
    expect(status.dispatchers).toMatchObject([{ role: 'leader', term: 1 }]);
    expect(status.workers).toMatchObject([{ pid: worker.pid, slots: 4, state: 'active' }]);
    for (const program of programs) {
      await right(program);
      expect(ran(program)).toEqual({ inside: 0, outside: 72 });
    }
    const tasks = await c.ask<TaskInfo[]>('tasks', '--limit', '1000');
    expect(tasks).toHaveLength(144);
    expect(new Set(tasks.map((task) => `${task.state} ${task.worker}`))).toEqual(new Set([`FINISHED ${status.workers[0]?.id}`]));
    const gone = await c.until(({ applications }) => applications.length === 0);
    expect(gone.tasks).toMatchObject({ live: 0, finished: 144, failed: 0 });
  });

  test('the leading dispatcher is killed in the middle of a job: the standby takes over and adopts what workers hold', { timeout: 180 * SECOND }, async () => {
    const c = await open();
    const first = await c.dispatcher();
    const second = await c.dispatcher();
    await Promise.all([c.worker(), c.worker()]);
    const program = await c.program([SUMS, '150']);
    await wait(Math.random() * 2000);
    await first.end('SIGKILL');
    await second.said(/leads .*term=2/);
    await right(program);
    const status = await c.until(() => true);
    expect(status).toMatchObject({ term: 2, tasks: { live: 0, failed: 0 } });
    expect(second.log()).not.toMatch(/defect/);
  });

  test('asked to stop under load, it hands over to the standby at once and nothing is lost', { timeout: 180 * SECOND }, async () => {
    const c = await open();
    const first = await c.dispatcher();
    const second = await c.dispatcher();
    await c.worker(4);
    const program = await c.program([SUMS, '200']);
    await c.until(({ tasks }) => tasks.live > 0);
    expect(await first.end('SIGTERM')).toBe(0);
    await second.said(/leads .*term=2/);
    await right(program);
    const { tasks } = await c.until(() => true);
    expect(tasks).toMatchObject({ live: 0, failed: 0 });
  });
}

function standsBy(open: Open): void {
  test('a leader that is stopped beyond its time and wakes up is refused by everyone, and stands by', { timeout: 180 * SECOND }, async () => {
    const c = await open();
    const first = await c.dispatcher();
    const second = await c.dispatcher();
    await Promise.all([c.worker(), c.worker()]);
    const program = await c.program([SUMS, '150'], ['dispatcher.takeover=60s']);
    await c.until(({ tasks }) => tasks.live > 0);
    first.signal('SIGSTOP');
    await second.said(/leads .*term=2/);
    first.signal('SIGCONT');
    await first.said('steps down');
    await right(program);
    expect(ran(program).inside).toBe(0);
    const { dispatchers, tasks, term } = await c.until((status) => status.dispatchers.length === 2);
    expect(term).toBe(2);
    expect(tasks).toMatchObject({ live: 0, failed: 0 });
    expect(dispatchers.map(({ role, pid }) => `${role} ${pid}`).sort()).toEqual([`leader ${second.pid}`, `standby ${first.pid}`]);
  });
}

describe('a dispatcher service over tcp', () => {
  serves(overTcp);

  test('a dispatcher that is killed and started again goes on where it was, under a higher term', { timeout: 180 * SECOND }, async () => {
    const c = await overTcp();
    const first = await c.dispatcher();
    await c.worker();
    const program = await c.program([SUMS, '100'], ['dispatcher.takeover=60s']);
    await wait(Math.random() * 1000);
    await first.end('SIGKILL');
    await c.dispatcher();
    await right(program);
    expect(ran(program).inside).toBe(0);
    // It began with term 1, and was told by those who had seen it before.
    expect((await c.until(() => true)).term).toBeGreaterThan(1);
  });

  test('asked to stop under load without a standby, it ends within its grace, and what is left runs inside', { timeout: 180 * SECOND }, async () => {
    const c = await overTcp();
    const only = await c.dispatcher('--conf', 'dispatcher.drain.grace=300ms');
    await c.worker(1);
    const program = await c.program([SUMS, '120']);
    await c.until(({ tasks }) => tasks.live > 0);
    const began = performance.now();
    expect(await only.end('SIGTERM')).toBe(0);
    expect(performance.now() - began).toBeLessThan(10 * SECOND);
    await right(program);
    expect(ran(program).inside).toBeGreaterThan(0);
  });

  test('a dispatcher that is stopped and wakes up again: tasks run inside meanwhile, nothing is done twice', { timeout: 180 * SECOND }, async () => {
    const c = await overTcp();
    const dispatcher = await c.dispatcher();
    await c.worker();
    const program = await c.program([SUMS, '150'], ['dispatcher.takeover=1s']);
    await c.until(({ tasks }) => tasks.live > 0);
    dispatcher.signal('SIGSTOP');
    await new Promise<void>((resolve, reject) => {
      const look = (): void => void (program.output.stderr.includes('run inside until') && resolve());
      program.child.stderr?.on('data', look);
      program.ended.then(() => resolve(), reject);
    });
    dispatcher.signal('SIGCONT');
    await right(program);
  });

  test('an application that dies leaves nothing: its tasks are ended on the workers', { timeout: 120 * SECOND }, async () => {
    const c = await overTcp();
    await c.dispatcher();
    await c.worker(2);
    const program = await c.program([SUMS, '20000']);
    await c.until(({ workers }) => workers[0]?.running === 2);
    killAll(program);
    await program.ended;
    const status = await c.until(({ applications, workers }) => applications.length === 0 && workers[0]?.running === 0 && workers[0].queued === 0);
    expect(status.tasks.finished).toBe(0);
  });

  test('operators kill tasks and drain workers; a mistake is told', { timeout: 180 * SECOND }, async () => {
    const c = await overTcp();
    await c.dispatcher();
    const doomed = await c.worker(1);
    const program = await c.program([SUMS, '150']);
    const status = await c.until(({ applications }) => (applications[0]?.live ?? 0) > 0);
    const other = await c.worker(1);
    const worker = status.workers[0] as WorkerInfo;
    await c.ask('drain', worker.id);
    expect(await doomed.exited).toBe(0);
    await right(program);
    expect(other.log()).toContain('ready');
    const second = await c.program([SUMS, '3000']);
    const { applications } = await c.until((now) => (now.applications[0]?.live ?? 0) > 0);
    // Each task that is killed fails its attempt; the fourth fails the job.
    await c.ask('kill', applications[0]?.id as string);
    killAll(second);
    await expect(c.ask('drain', 'nobody\u001b[31m')).rejects.toThrow(/there is no worker nobody\\x1b\[31m[^]*SP_DISPATCHER_NO_SUCH/);
  });
});

describeWith(['redis'], 'a dispatcher service over Redis', () => {
  let server: RedisServer;
  beforeAll(async () => (server = await startRedis()));
  afterAll(() => server.stop());
  serves(overBroker(() => server.url));
  standsBy(overBroker(() => server.url));
});

describeWith(['rabbitmq'], 'a dispatcher service over RabbitMQ', () => {
  let url: string;
  beforeAll(async () => (url = await sharedRabbitmq()), 120 * SECOND);
  standsBy(overBroker(() => url));
});
