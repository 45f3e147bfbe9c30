import { afterEach, describe, expect, test } from 'vitest';
import { newId, contentHash } from '../../src/core/ids.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { APP, task, tasks } from '../dispatcher/fixtures.ts';
import { cleanup, FakeRunner, startDispatcher, startWorker } from './fixtures.ts';
import { leakCheck } from '../support/leaks.ts';

const ends = cleanup();
leakCheck();
afterEach(() => ends.run());

/** A hub and clients of it. */
const schemes: Record<string, () => Promise<{ hub: Transport; client: () => Promise<Transport> }>> = {
  async memory() {
    const url = `memory:${newId('test')}`;
    return { hub: await connectTransport(url), client: () => connectTransport(url) };
  },
  async tcp() {
    const hub = await connectTransport('tcp://127.0.0.1:0', { role: 'hub' });
    return { hub, client: () => connectTransport(hub.url) };
  },
};

describe.each(Object.keys(schemes))('over %s', (scheme) => {
  const open = async () => {
    const { hub, client } = await (schemes[scheme] as (typeof schemes)[string])();
    ends.add(() => hub.close());
    const connect = async (): Promise<Transport> => {
      const transport = await client();
      ends.add(() => transport.close());
      return transport;
    };
    return { hub, connect };
  };

  test('1,000 tasks end exactly once although a host dies and another is closed on the way', async () => {
    const { hub, connect } = await open();
    const { dispatcher, heard } = await startDispatcher(ends, hub);
    const stage = { hash: contentHash(Buffer.from('stage')), bytes: Buffer.from('stage') };
    // A turn of the event loop per task, so that there is a midway.
    const work = async (t: { taskId: number; commons: readonly string[] }, blobs: (hash: string) => Uint8Array): Promise<Uint8Array> => {
      await new Promise((resolve) => setImmediate(resolve));
      return Buffer.from(`${Buffer.from(blobs(t.commons[0] as string)).toString()}:${t.taskId}`);
    };
    const transports = [await connect(), await connect(), await connect()];
    const hosts = await Promise.all(transports.map((transport) => startWorker(ends, transport, [new FakeRunner(work)])));
    await heard.until(() => dispatcher.capacity().workers === 3);
    dispatcher.putBlob(stage);
    dispatcher.submit(tasks(1000, { commons: [stage.hash] }));
    await heard.until(() => heard.ended.length >= 300);
    // As if its process had died: no good-bye.
    await transports[0]?.close();
    await heard.until(() => heard.ended.length >= 600);
    await hosts[1]?.close();
    await heard.until(() => heard.ended.length + heard.handedBack.length >= 1000);
    expect(heard.handedBack).toEqual([]);
    expect(heard.errors).toEqual([]);
    expect(heard.ended.map((update) => update.taskId).sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    for (const { taskId, data } of heard.ended) expect(Buffer.from(data).toString()).toBe(`stage:${taskId}`);
    expect(dispatcher.stats()).toMatchObject({ submitted: 1000, finished: 1000, failed: 0, handedBack: 0 });
    expect(dispatcher.stats().retried).toBeGreaterThan(0);
  });

  test('when the last worker dies, what it held is handed back', async () => {
    const { hub, connect } = await open();
    const { dispatcher, heard } = await startDispatcher(ends, hub);
    const transport = await connect();
    const runner = new FakeRunner();
    const host = await startWorker(ends, transport, [runner], { slots: 2 });
    await heard.until(() => dispatcher.capacity().workers === 1);
    dispatcher.submit(tasks(6));
    await heard.until(() => heard.updates.length === 2);
    await transport.close();
    await heard.until(() => heard.handedBack.length === 6);
    expect(heard.lost).toEqual([host.id]);
    expect(heard.handedBack.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('a worker that drains finishes what runs, gives back the rest, and is gone', async () => {
    const { hub, connect } = await open();
    const { dispatcher, heard } = await startDispatcher(ends, hub);
    const first = new FakeRunner();
    const second = new FakeRunner(() => Buffer.from('second'));
    const host = await startWorker(ends, await connect(), [first], { slots: 2 });
    await heard.until(() => dispatcher.capacity().workers === 1);
    dispatcher.submit(tasks(4));
    await heard.until(() => heard.updates.length === 2);
    await startWorker(ends, await connect(), [second]);
    await heard.until(() => dispatcher.capacity().workers === 2);
    const drained = host.drain('test');
    // Those that had not begun run elsewhere while the others go on.
    await heard.until(() => heard.ended.length === 2);
    first.finish(0, Buffer.from('first'));
    first.finish(1, Buffer.from('first'));
    await drained;
    await heard.until(() => heard.ended.length === 4 && dispatcher.capacity().workers === 1);
    expect(heard.ended.map(({ taskId, data }) => `${taskId} ${Buffer.from(data).toString()}`).sort()).toEqual(['0 first', '1 first', '2 second', '3 second']);
    expect(heard.handedBack).toEqual([]);
    expect(first.closed).toBe(true);
    await host.closed;
  });

  test('a cancel reaches the runner, and the task is reported as killed', async () => {
    const { hub, connect } = await open();
    const { dispatcher, heard } = await startDispatcher(ends, hub);
    const runner = new FakeRunner();
    await startWorker(ends, await connect(), [runner], { slots: 1 });
    await heard.until(() => dispatcher.capacity().workers === 1);
    dispatcher.submit(tasks(3));
    await heard.until(() => heard.updates.length === 1);
    for (const taskId of [0, 1, 2]) dispatcher.cancel(APP, taskId, 'enough');
    await heard.until(() => heard.ended.length === 3);
    expect(runner.killed).toEqual([0]);
    expect(runner.begun.map((t) => t.taskId)).toEqual([0]);
    expect(heard.ended.map((update) => update.state)).toEqual(['KILLED', 'KILLED', 'KILLED']);
    for (const error of heard.errors) expect(error.message).toContain('enough');
  });

  test('closing the dispatcher ends what workers run for it', async () => {
    const { hub, connect } = await open();
    const { dispatcher, heard } = await startDispatcher(ends, hub);
    const runner = new FakeRunner();
    const host = await startWorker(ends, await connect(), [runner], { slots: 1 });
    await heard.until(() => dispatcher.capacity().workers === 1);
    dispatcher.submit(tasks(2));
    await heard.until(() => heard.updates.length === 1);
    const told = heard.updates.length;
    await dispatcher.close();
    await expect.poll(() => [runner.killed, host.load().running + host.load().queued]).toEqual([[0], 0]);
    expect(heard.updates.length).toBe(told);
    expect(() => dispatcher.submit([{ application: APP, task: task(9) }])).toThrow(expect.objectContaining({ code: 'SP_DISPATCHER_CLOSED' }));
  });
});
