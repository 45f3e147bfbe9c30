import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SparkApplicationInfo, SparkExecutor } from '../../../src/apache-spark/index.ts';
import { describeWith } from '../../support/requires.ts';
import { CORPUS, insideTasks, readEventLog, startStandalone, submitApplication, type EventLog, type SparkCluster } from '../../support/spark.ts';
import { startOutside } from '../../support/spark-outside.ts';

const LIMIT = 900_000;

/** Executors that ran the stages, by stage: `inside`, `outside` or `both`. */
function whereRan({ tasks, executors }: EventLog): Map<number, string> {
  const where = new Map<number, string>();
  for (const { stage, executor, ok } of tasks) {
    if (!ok) continue;
    const here = executors.get(executor)?.external === true ? 'outside' : 'inside';
    where.set(stage, where.has(stage) && where.get(stage) !== here ? 'both' : here);
  }
  return where;
}

describeWith(['java', 'maven', 'python', 'spark'], 'tasks of one application move', () => {
  let cluster: SparkCluster;
  beforeAll(async () => {
    cluster = await startStandalone();
  }, LIMIT);
  afterAll(() => cluster.stop());

  test(
    'inside while there is no worker, out when one comes, and inside again when it goes; shuffle files and cached blocks are read both ways',
    async () => {
      const outside = await startOutside({ workers: 0 });
      const application = submitApplication({
        master: cluster.master,
        // A lost executor leaves no shuffle files, so that what lay there is computed again.
        conf: { ...outside.conf, 'spark.sql.adaptive.enabled': 'false' },
        application: [join(CORPUS, 'moves.py'), '.'],
      });
      const open = (gate: string): void => writeFileSync(join(application.directory, `go.${gate}`), '');
      try {
        await application.printed(/^WAIT map$/m, LIMIT);
        open('map');
        await application.printed(/^WAIT reduce$/m, LIMIT);
        const worker = await outside.startWorker();
        await expect.poll(async () => (await outside.applications())[0]?.executors.length, { timeout: LIMIT, interval: 200 }).toBe(1);
        open('reduce');
        await application.printed(/^WAIT more$/m, LIMIT);
        await worker.stop('SIGKILL');
        await expect.poll(async () => (await outside.applications())[0]?.executors.length, { timeout: LIMIT, interval: 200 }).toBe(0);
        open('more');
        const { results, log } = await application.result();
        const sums = Array.from({ length: 13 }, (_, k) => [k, Array.from({ length: 2000 }, (_, x) => (x % 13 === k ? x : 0)).reduce((a, b) => a + b)] as const);
        const spell = (pairs: readonly (readonly number[])[]): string => JSON.stringify(pairs).replaceAll(',', ', ');
        expect(results).toEqual([
          'mapped 13',
          `reduced ${spell(sums)}`,
          `cached ${1999 * 1000}`,
          `more ${spell(sums.slice(0, 3).map(([k, v]) => [k, v + 1]))}`,
          'fresh 3',
        ]);
        const where = [...whereRan(log).values()];
        expect(where.slice(0, 2)).toEqual(['inside', 'inside']);
        expect(where.slice(2, 4)).toEqual(['outside', 'outside']);
        expect(where.at(-1)).toBe('inside');
        expect([...log.executors.values()].filter(({ external }) => external)).toHaveLength(1);
      } finally {
        await application.stop();
        await outside.stop();
      }
    },
    LIMIT,
  );

  test(
    "at an operator's word, who sees each task where Spark saw it run, and stops the application from outside",
    async () => {
      const outside = await startOutside();
      const application = submitApplication({ master: cluster.master, conf: outside.conf, application: [join(CORPUS, 'steady.py'), '.'] });
      const rounds = (): number => [...application.output.stdout.matchAll(/^ROUND \d+ right$/gm)].length;
      const more = async (): Promise<void> => {
        await application.printed(new RegExp(`^ROUND ${rounds() + 2} right$`, 'm'), LIMIT);
      };
      try {
        await application.printed(/^ROUND 1 right$/m, LIMIT);
        const [before] = JSON.parse(await outside.operate('apps', '--json')) as [SparkApplicationInfo];
        const { id } = before;
        const [executor] = before.executors as [SparkExecutor];
        await outside.operate('destination', 'internal', id);
        await more();
        const [within] = await outside.applications();
        expect(within).toMatchObject({ mode: 'internal', linked: true });
        expect(within?.figures.endedInside).toBeGreaterThan(0);
        await outside.operate('destination', 'external', id);
        await more();
        expect(await outside.operate('apps')).toMatch(new RegExp(`^${id} +steady +Spark 4\\..*destination external[^]*^ +${executor.workerId} `, 'm'));
        const seen = (await outside.tasks(id)).filter(({ state }) => state === 'FINISHED');
        await outside.operate('drain', executor.workerId);
        await outside.workers[0]?.ended;
        await more();
        expect(application.output.stderr.includes('the link is down'), 'the link broke').toBe(false);
        await outside.operate('stop', id);
        // Its next job finds no context.
        expect(await application.ended).not.toBe(0);
        const log = readEventLog(join(application.directory, 'events'));
        const ran = new Map(log.tasks.map((task) => [task.task, task]));
        expect(seen.length).toBeGreaterThan(10);
        for (const { taskId, worker } of seen) expect([worker, ran.get(taskId)?.executor]).toEqual([executor.workerId, executor.executorId]);
        expect(insideTasks(log).length).toBeGreaterThan(0);
        const [after] = await outside.applications();
        expect(after).toMatchObject({ id, linked: false });
        // What ends after its application is told as long as the link lives: both are being closed.
        expect(after?.figures.endedInside).toBeGreaterThanOrEqual(insideTasks(log).filter(({ late }) => !late).length);
        expect(after?.figures.endedInside).toBeLessThanOrEqual(insideTasks(log).length);
        expect(after?.figures.endedOutside).toBeGreaterThanOrEqual(seen.length);
      } finally {
        await application.stop();
        await outside.stop();
      }
    },
    LIMIT,
  );
});
