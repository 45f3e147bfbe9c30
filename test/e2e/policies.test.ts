/** Policies of applications, end to end: poison, stragglers. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { freePort } from '../support/server-process.ts';
import { SUMS } from './cluster.ts';
import { opening, ran, right, TIME } from './service-cases.ts';

const POISON = fileURLToPath(new URL('programs/poison.ts', import.meta.url));
const open = opening(async () => `tcp://127.0.0.1:${await freePort()}`);

test('a task that takes down every worker it runs on is parked with its story; an operator runs it again, then drops it', TIME, async () => {
  const c = await open();
  await c.dispatcher();
  const doomed = await Promise.all([c.worker(1), c.worker(1)]);
  const program = await c.program([POISON], ['dispatch.max.leases=2', 'dispatch.poison=hold']);
  await Promise.all(doomed.map((worker) => worker.exited));
  await c.until(({ tasks }) => tasks.parked === 1);
  const { tasks } = await c.ask('tasks', { parked: true });
  expect(tasks).toMatchObject([{ state: 'PARKED' }]);
  expect(tasks[0]?.story?.split('\n')).toHaveLength(2);
  const { application, taskId } = tasks[0] as { application: string; taskId: number };
  const shown = await c.command('tasks', '--parked');
  expect(shown.stdout).toMatch(/PARKED[^]*on worker-\w+ \(epoch \d+\) for \d+ ms: .*\n {2}on worker-/);
  const third = await c.worker(1);
  expect((await c.command('retry', application, String(taskId))).code).toBe(0);
  await third.exited;
  await c.until((status) => status.tasks.parked === 2);
  expect((await c.command('retry', application, String(taskId), '--drop')).code).toBe(0);
  expect(await program.ended).toBe(0);
  expect(program.output.stdout.trim()).toBe('SP_DISPATCHER_LEASES_EXHAUSTED');
});

test('a straggler: slow tasks are copied to another worker, the copies count, and the late results are refused', TIME, async () => {
  const c = await open();
  // It is stopped for less than it would take to be called lost.
  const patient = ['registry.ttl=100s', 'host.selector=PULL'];
  await c.dispatcher(...patient);
  const slow = await c.worker(2, ...patient.flatMap((setting) => ['--conf', setting]));
  const speculation = ['spark.speculation=true', 'spark.speculation.quantile=0.5', 'spark.speculation.multiplier=2'];
  const program = await c.program([SUMS, '60'], [...speculation, ...patient]);
  await c.until(({ tasks }) => tasks.finished > 0);
  await c.worker(2, ...patient.flatMap((setting) => ['--conf', setting]));
  await c.until(({ workers }) => workers.length === 2);
  slow.signal('SIGSTOP');
  await right(program);
  expect(ran(program).inside).toBe(0);
  slow.signal('SIGCONT');
  await c.until(({ tasks }) => tasks.fenced > 0);
});
