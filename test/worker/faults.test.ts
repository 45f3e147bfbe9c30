import { afterEach, expect, test } from 'vitest';
import { connectTransport } from '../../src/transports/index.ts';
import { tasks } from '../dispatcher/fixtures.ts';
import { BEATS, cleanup, FakeRunner, startDispatcher, startWorker } from './fixtures.ts';
import { faultProxy } from './proxy.ts';
import { leakCheck } from '../support/leaks.ts';

const ends = cleanup();
leakCheck();
afterEach(() => ends.run());

/** A hub with a dispatcher, one worker behind a faulty connection (`runner`), one behind a good one. */
async function open(runner: FakeRunner, good: FakeRunner) {
  const hub = await connectTransport('tcp://127.0.0.1:0', { role: 'hub' });
  ends.add(() => hub.close());
  const { dispatcher, heard } = await startDispatcher(ends, hub, { resendAfterMs: 200 });
  const proxy = await faultProxy(Number(new URL(hub.url).port));
  ends.add(() => proxy.close());
  const behind = await connectTransport(`tcp://127.0.0.1:${proxy.port}`);
  ends.add(() => behind.close());
  const direct = await connectTransport(hub.url);
  ends.add(() => direct.close());
  // It does not take the dispatcher for dead while nothing passes: then it would end its tasks and say nothing of them.
  const host = await startWorker(ends, behind, [runner], { id: 'faulty' }, { ...BEATS, ttlMs: 60_000 });
  await startWorker(ends, direct, [good], { id: 'good' });
  await heard.until(() => dispatcher.capacity().workers === 2);
  return { dispatcher, heard, proxy, host };
}

const turn = async (): Promise<Uint8Array> => {
  await new Promise((resolve) => setImmediate(resolve));
  return new Uint8Array(0);
};
const everyOne = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test('connections that are cut again and again lose and double nothing', async () => {
  const { dispatcher, heard, proxy } = await open(new FakeRunner(turn), new FakeRunner(turn));
  dispatcher.submit(tasks(2000));
  for (const mark of [200, 500, 800, 1100]) {
    await heard.until(() => heard.ended.length >= mark);
    proxy.cut();
  }
  await heard.until(() => heard.ended.length >= 2000);
  expect(heard.ended.map((update) => update.taskId).sort((a, b) => a - b)).toEqual(everyOne(2000));
  expect(heard.ended.every((update) => update.state === 'FINISHED')).toBe(true);
});

test('a worker that cannot be heard loses its leases, and what it says when it is back is refused', async () => {
  const frozen = new FakeRunner();
  const { dispatcher, heard, proxy } = await open(frozen, new FakeRunner(turn));
  dispatcher.submit(tasks(16));
  await heard.until(() => heard.updates.filter((u) => u.state === 'RUNNING' && u.executorId === 'faulty').length === 4);
  const held = frozen.begun.map((t) => t.taskId);
  proxy.freeze(true);
  await heard.until(() => heard.lost.includes('faulty') && heard.ended.length === 16);
  // Done here as well, but the leases are over.
  for (const taskId of held) frozen.finish(taskId);
  proxy.freeze(false);
  // More when what waited there begins, and is told to stop.
  await expect.poll(() => dispatcher.stats().fenced, { timeout: 30_000 }).toBeGreaterThanOrEqual(4);
  expect(heard.ended.map((update) => update.taskId).sort((a, b) => a - b)).toEqual(everyOne(16));
  expect(heard.ended.every((update) => update.executorId === 'good')).toBe(true);
  await heard.until(() => dispatcher.capacity().workers === 2);
});
