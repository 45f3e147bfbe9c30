/** Workers that are not trusted, as processes, one of which lies. */
import { afterEach, expect, test } from 'vitest';
import { freePort } from '../support/server-process.ts';
import { Cluster, SUMS } from './cluster.ts';
import { ran, right, TIME } from './service-cases.ts';

let cluster: Cluster | undefined;
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
}, 60_000);

async function threeWorkers(how: 'value' | 'file'): Promise<{ c: Cluster; dispatcher: Awaited<ReturnType<Cluster['dispatcher']>>; liar: string }> {
  const c = (cluster = new Cluster(`tcp://127.0.0.1:${await freePort()}`));
  const dispatcher = await c.dispatcher('host.selector=LEAST_LOADED');
  const [liar] = await Promise.all([c.lyingWorker(how), c.worker(2), c.worker(2)]);
  await c.until(({ workers }) => workers.length === 3);
  return { c, dispatcher, liar: `worker-liar-${liar.pid}` };
}

/** Workers that were outvoted, by what the dispatcher logs. */
function outvoted(log: string): Set<string> {
  return new Set(
    [...log.matchAll(/results of one task differ .*wrong=(\S*)/g)].map((match) => match[1] as string).filter((wrong) => wrong !== '' && wrong !== '[]'),
  );
}

test('a worker that gives wrong results is outvoted, told of and given nothing more; the result of the job is right', TIME, async () => {
  const { c, dispatcher, liar } = await threeWorkers('value');
  const program = await c.program([SUMS, '5'], ['verify.quorum=2']);
  await right(program);
  expect(ran(program).inside).toBe(0);
  const wrong = outvoted(dispatcher.log());
  expect(
    [...wrong].every((names) => names.includes(liar)),
    dispatcher.log(),
  ).toBe(true);
  expect(wrong.size).toBeGreaterThan(0);
  expect(dispatcher.log()).toMatch(new RegExp(`is given nothing for a while .*target="?worker ${liar}`));
  const { workers } = await c.ask('status', {});
  expect(workers.filter(({ state }) => state === 'excluded').map(({ id }) => id)).toEqual([liar]);
});

test('shuffle files that are not what was verified are found by who reads them, and computed elsewhere', TIME, async () => {
  const { c, dispatcher, liar } = await threeWorkers('file');
  const program = await c.program([SUMS, '5'], ['verify.quorum=2']);
  await right(program);
  expect(dispatcher.log()).toMatch(new RegExp(`is given nothing for a while .*target="?worker ${liar}.*shuffle output is not what was verified`));
});
