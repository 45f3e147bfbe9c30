/** What a dispatcher service must do, whatever its transport: real processes, real signals. */
import { afterEach, expect, test } from 'vitest';
import type { ClusterStatus } from '../../src/protocol/admin.ts';
import { Cluster, SUMS, SUMS_ANSWER, SUMS_TASKS } from './cluster.ts';
import type { Running } from './run-program.ts';

export const TIME = { timeout: 240_000 };
let cluster: Cluster | undefined;
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
}, 60_000);

/** Gives each test a cluster of its own. */
export type Open = () => Promise<Cluster>;

export function opening(url: () => Promise<string> | string): Open {
  return async () => (cluster = new Cluster(await url()));
}

/** Where the tasks of a program ran, by its summary. */
export function ran(program: Running): { readonly inside: number; readonly outside: number } {
  const rows = [...program.output.stderr.matchAll(/^\S+\s+\d+\s+(inside|external)\s+(\d+)/gm)];
  const sum = (where: string): number => rows.filter((row) => row[1] === where).reduce((total, row) => total + Number(row[2]), 0);
  return { inside: sum('inside'), outside: sum('external') };
}

/** The program ends well: nothing was lost, nothing counted twice. */
export async function right(program: Running): Promise<void> {
  const code = await program.ended;
  expect(`${code} ${program.output.stdout.trim()}`, program.output.stderr).toBe(`0 ${SUMS_ANSWER}`);
}

/** Some moment in the middle: when so many tasks have ended, another one each run. */
export function midway(): (status: ClusterStatus) => boolean {
  const moment = 1 + Math.floor(Math.random() * (SUMS_TASKS / 2));
  return ({ tasks }) => tasks.finished >= moment;
}

export function servesApplications(open: Open): void {
  test('two applications share the workers; operators see them, and where each task ran', TIME, async () => {
    const c = await open();
    await c.dispatcher();
    const worker = await c.worker(4);
    // Asked from the start, so that they cannot have ended before.
    const [status, ...programs] = await Promise.all([
      c.until(({ applications }) => applications.filter(({ attached }) => attached).length === 2),
      c.program(),
      c.program(),
    ]);
    expect(status.dispatchers).toMatchObject([{ role: 'leader', term: 1 }]);
    expect(status.workers).toMatchObject([{ pid: worker.pid, slots: 4, state: 'active' }]);
    for (const program of programs) {
      await right(program);
      expect(ran(program)).toEqual({ inside: 0, outside: SUMS_TASKS });
    }
    const { tasks } = await c.ask('tasks', { limit: 1000 });
    expect(tasks).toHaveLength(2 * SUMS_TASKS);
    expect(new Set(tasks.map((task) => `${task.state} ${task.worker}`))).toEqual(new Set([`FINISHED ${status.workers[0]?.id}`]));
    const gone = await c.until(({ applications }) => applications.length === 0);
    expect(gone.tasks).toMatchObject({ live: 0, finished: 2 * SUMS_TASKS, failed: 0 });
  });
}

export function survivesKills(open: Open): void {
  test('the leading dispatcher is killed in the middle of a job, then a worker: the standby takes over, and the result is right', TIME, async () => {
    const c = await open();
    const first = await c.dispatcher();
    const second = await c.dispatcher();
    const [worker] = await Promise.all([c.worker(), c.worker()]);
    const program = await c.program([SUMS, '100'], ['dispatcher.takeover=60s']);
    await c.until(midway());
    await first.end('SIGKILL');
    await second.said(/leads .*term=2/);
    await c.until(({ tasks }) => tasks.finished > 0);
    await worker.end('SIGKILL');
    await right(program);
    expect(ran(program).inside).toBe(0);
    expect(await c.until(({ applications }) => applications.length === 0)).toMatchObject({ term: 2, tasks: { live: 0, failed: 0 } });
    expect(second.log()).not.toMatch(/defect/);
  });
}

export function fencesLeaders(open: Open): void {
  test('a leader that is stopped beyond its time and wakes up is refused by everyone, and stands by', TIME, async () => {
    const c = await open();
    const first = await c.dispatcher();
    const second = await c.dispatcher();
    await Promise.all([c.worker(), c.worker()]);
    const program = await c.program([SUMS, '100'], ['dispatcher.takeover=60s']);
    await c.until(midway());
    first.signal('SIGSTOP');
    await second.said(/leads .*term=2/);
    first.signal('SIGCONT');
    await first.said('steps down');
    await right(program);
    expect(ran(program).inside).toBe(0);
    const { dispatchers, tasks, term } = await c.until((status) => status.dispatchers.length === 2 && status.tasks.live === 0);
    expect(term).toBe(2);
    expect(tasks).toMatchObject({ failed: 0 });
    expect(dispatchers.map(({ role, pid }) => `${role} ${pid}`).sort()).toEqual([`leader ${second.pid}`, `standby ${first.pid}`]);
  });
}

export function handsOver(open: Open): void {
  test('asked to stop under load, the leader hands over to the standby at once and nothing is lost', TIME, async () => {
    const c = await open();
    const first = await c.dispatcher();
    const second = await c.dispatcher();
    await c.worker(4);
    const program = await c.program([SUMS, '100'], ['dispatcher.takeover=60s']);
    await c.until(midway());
    expect(await first.end('SIGTERM')).toBe(0);
    await second.said(/leads .*term=2/);
    await right(program);
    expect(ran(program).inside).toBe(0);
    expect((await c.until(() => true)).tasks).toMatchObject({ live: 0, failed: 0 });
  });
}

export function restarts(open: Open): void {
  test('a dispatcher that is killed and started again goes on where it was, under a higher term', TIME, async () => {
    const c = await open();
    const first = await c.dispatcher();
    await c.worker();
    const program = await c.program([SUMS, '60'], ['dispatcher.takeover=60s']);
    await c.until(midway());
    await first.end('SIGKILL');
    await c.dispatcher();
    await right(program);
    expect(ran(program).inside).toBe(0);
    // On tcp it began with term 1, and was told by those who had seen it before.
    expect((await c.until(() => true)).term).toBeGreaterThan(1);
  });
}
