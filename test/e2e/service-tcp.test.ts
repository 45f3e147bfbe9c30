import { describe, expect, test } from 'vitest';
import type { WorkerInfo } from '../../src/protocol/admin.ts';
import { freePort } from '../support/server-process.ts';
import { killAll, printed, SUMS } from './cluster.ts';
import { handsOver, midway, opening, ran, restarts, right, servesApplications, survivesKills, TIME } from './service-cases.ts';

const open = opening(async () => `tcp://127.0.0.1:${await freePort()}`);

describe('a dispatcher service over tcp', () => {
  servesApplications(open);
  survivesKills(open);
  restarts(open);
  handsOver(open);

  test('asked to stop under load without a standby, it ends within its grace, and what is left runs inside', TIME, async () => {
    const c = await open();
    const only = await c.dispatcher('dispatcher.drain.grace=300ms');
    await c.worker(1);
    const program = await c.program([SUMS, '80'], ['dispatcher.takeover=1s']);
    await c.until(({ tasks }) => tasks.live > 0 && tasks.finished > 0);
    expect(await only.end('SIGTERM')).toBe(0);
    await right(program);
    expect(ran(program).inside).toBeGreaterThan(0);
  });

  test('a dispatcher that is stopped and wakes up again: tasks run inside meanwhile, nothing is done twice', TIME, async () => {
    const c = await open();
    const dispatcher = await c.dispatcher();
    await c.worker();
    const program = await c.program([SUMS, '60'], ['dispatcher.takeover=1s']);
    await c.until(midway());
    dispatcher.signal('SIGSTOP');
    await printed(program, 'run inside until');
    dispatcher.signal('SIGCONT');
    await right(program);
  });

  test('a worker that is stopped beyond its lease and wakes up: its late results are refused', TIME, async () => {
    const c = await open();
    await c.dispatcher();
    const stopped = await c.worker(2);
    const program = await c.program([SUMS, '100']);
    await c.until(({ tasks }) => tasks.finished > 0);
    await c.worker(2);
    stopped.signal('SIGSTOP');
    await c.until(({ tasks }) => tasks.retried > 0);
    stopped.signal('SIGCONT');
    await c.until(({ tasks }) => tasks.fenced > 0);
    await right(program);
    expect(ran(program).inside).toBe(0);
  });

  test('an application that dies leaves nothing: its tasks are ended on the workers', TIME, async () => {
    const c = await open();
    await c.dispatcher();
    await c.worker(2);
    const program = await c.program([SUMS, '20000']);
    await c.until(({ workers }) => workers[0]?.running === 2);
    killAll(program);
    await program.ended;
    const status = await c.until(({ applications, workers }) => applications.length === 0 && workers[0]?.running === 0 && workers[0].queued === 0);
    expect(status.tasks.finished).toBe(0);
  });

  test("operators' commands: status, hosts, tasks, top, drain, kill, as tables and as JSON; a mistake is told", TIME, async () => {
    const c = await open();
    await c.dispatcher();
    const doomed = await c.worker(1, '--label', 'zone=a');
    const program = await c.program([SUMS, '60']);
    const status = await c.until(({ applications }) => (applications[0]?.live ?? 0) > 0);
    const [worker, application] = [status.workers[0] as WorkerInfo, status.applications[0]?.id as string];
    const shown = await c.command('status');
    expect(shown).toMatchObject({ code: 0, stderr: '' });
    expect(shown.stdout).toMatch(/leads under term 1/);
    expect(shown.stdout).toContain(application);
    expect((await c.command('hosts')).stdout).toMatch(new RegExp(`${worker.id} .*active .*zone=a`));
    expect(JSON.parse((await c.command('hosts', '--json')).stdout)).toMatchObject([{ id: worker.id, labels: { zone: 'a' } }]);
    await c.worker(1);
    expect((await c.command('drain', worker.id)).stdout).toBe('the worker drains\n');
    expect(await doomed.exited).toBe(0);
    await right(program);
    const tasks = JSON.parse((await c.command('tasks', '--application', application, '--limit', '5', '--json')).stdout) as { application: string }[];
    expect(new Set(tasks.map((task) => task.application))).toEqual(new Set([application]));
    expect(tasks).toHaveLength(5);
    expect((await c.command('top', '--count', '1')).stdout).toMatch(/^\d\d:\d\d:\d\d term=1 workers=1 applications=\d live=\d+ .*\n$/);
    const second = await c.program([SUMS, '20000']);
    const { applications } = await c.until((now) => now.applications.some(({ live }) => live > 0));
    const victim = applications.find(({ live }) => live > 0)?.id as string;
    expect((await c.command('kill', victim)).stdout).toMatch(/\d+ tasks? (is|are) being ended/);
    killAll(second);
    const mistake = await c.command('drain', 'nobody\u001b[31m');
    expect(mistake.code).not.toBe(0);
    expect(mistake.stderr).toMatch(/there is no worker nobody\\x1b\[31m[^]*SP_DISPATCHER_NO_SUCH/);
  });
});
