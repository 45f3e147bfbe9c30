import { afterEach, expect, test, vi } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { contentHash, newId } from '../../src/core/ids.ts';
import type { Logger } from '../../src/core/logger.ts';
import { createDispatcher, type DispatcherOptions } from '../../src/dispatcher/service.ts';
import { envelopeFactory } from '../../src/protocol/batch.ts';
import type { Envelope } from '../../src/protocol/envelope.ts';
import { decodeBlob, decodeCancel, decodeTasks, encodeBlobMissing, encodeStatus, MESSAGE } from '../../src/protocol/messages.ts';
import type { TaskState } from '../../src/protocol/task.ts';
import type { Load, RegisterCenter, RegistryEvent } from '../../src/registry/contract.ts';
import { createSelector } from '../../src/selectors/index.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { cleanup, Recorder } from '../worker/fixtures.ts';
import { APP, IDLE, registration, tasks, update } from './fixtures.ts';

const ends = cleanup();
afterEach(() => ends.run());

/** The register center as the test wants it. */
class FakeRegistry implements RegisterCenter {
  #tell: (event: RegistryEvent) => void = () => undefined;
  readonly announced: string[] = [];
  readonly left: string[] = [];

  async announce(entry: { kind: string; id: string; queue: string }) {
    this.announced.push(`${entry.kind} ${entry.queue}`);
    return { update: () => undefined, leave: async () => void this.left.push(entry.id) };
  }

  async watch(_kind: string, listener: (event: RegistryEvent) => void) {
    this.#tell = listener;
    return () => undefined;
  }

  join(id: string, slots = 1, load: Load = IDLE): void {
    this.#tell({ type: 'joined', entry: registration(id, { slots }), load });
  }

  beat(id: string, load: Load = IDLE): void {
    this.#tell({ type: 'beat', id, load });
  }

  leave(id: string, reason: 'left' | 'expired' = 'expired'): void {
    this.#tell({ type: 'left', id, reason });
  }

  async evict(): Promise<void> {}

  async close(): Promise<void> {}
}

/** Time that the test moves; ticks run as it passes them. */
class FakeClock implements Clock {
  #now = 0;
  readonly #repeating: { ms: number; next: number; callback: () => void }[] = [];
  now = () => this.#now;
  wallTime = () => this.#now;
  after = (ms: number, callback: () => void) => {
    const handle = setTimeout(callback, ms);
    return { cancel: () => clearTimeout(handle) };
  };

  every(ms: number, callback: () => void) {
    const timer = { ms, next: this.#now + ms, callback };
    this.#repeating.push(timer);
    return { cancel: () => void this.#repeating.splice(this.#repeating.indexOf(timer), 1) };
  }

  /** In steps of its timers, or as a stopped process sees it: all at once. */
  pass(ms: number, atOnce = false): void {
    const end = this.#now + ms;
    if (atOnce) this.#now = end;
    for (;;) {
      const due = this.#repeating.filter((timer) => timer.next <= end).sort((a, b) => a.next - b.next)[0];
      if (due === undefined) break;
      if (!atOnce) this.#now = due.next;
      due.next = this.#now + due.ms;
      due.callback();
    }
    this.#now = end;
  }
}

const silent: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

async function open(over: Partial<DispatcherOptions> = {}, transportOptions = {}) {
  const url = `memory:${newId('test')}`;
  const transport = await connectTransport(url, transportOptions);
  ends.add(() => transport.close());
  const peer = await connectTransport(url);
  ends.add(() => peer.close());
  const registry = new FakeRegistry();
  const clock = new FakeClock();
  const heard = new Recorder();
  const dispatcher = await createDispatcher({
    id: 'd1',
    transport,
    registry,
    clock,
    selector: createSelector('LEAST_LOADED'),
    listener: heard,
    logger: silent,
    ...over,
  });
  ends.add(() => dispatcher.close());
  return { transport, peer, registry, clock, heard, dispatcher };
}

/** A worker that is nothing but its queue. */
async function readQueue(transport: Transport, id: string) {
  const frames: Envelope[] = [];
  const waiting = new Set<() => void>();
  await transport.consume(`worker.${id}`, { prefetch: 10_000 }, (delivery) => {
    frames.push(delivery.envelope);
    delivery.ack();
    for (const look of [...waiting]) look();
  });
  const envelope = envelopeFactory(id);
  return {
    frames,
    types: () => frames.map((frame) => frame.type),
    until: (holds: () => boolean): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!holds()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    say: (taskId: number, epoch: number, state: TaskState) =>
      transport.send('dispatcher.d1', envelope(MESSAGE.status, encodeStatus([{ application: APP, epoch, update: update(taskId, state, id) }]))),
    send: (type: string, body: Uint8Array) => transport.send('dispatcher.d1', envelope(type, body)),
  };
}

const blob = (text: string) => ({ hash: contentHash(Buffer.from(text)), bytes: Buffer.from(text) });

test('tasks of a turn share frames of at most 64 tasks, after the blob they need, which is sent once', async () => {
  const { dispatcher, registry, peer } = await open();
  const w1 = await readQueue(peer, 'w1');
  registry.join('w1', 100);
  const stage = blob('stage');
  dispatcher.putBlob(stage);
  dispatcher.submit(tasks(100, { commons: [stage.hash] }));
  dispatcher.submit(tasks(50, { commons: [stage.hash] }, 100));
  await w1.until(() => w1.frames.length === 4);
  expect(w1.types()).toEqual(['blob', 'tasks', 'tasks', 'tasks']);
  expect(decodeBlob((w1.frames[0] as Envelope).body).hash).toBe(stage.hash);
  const batches = w1.frames.slice(1).map((frame) => decodeTasks(frame.body));
  expect(batches.map((batch) => batch.length)).toEqual([64, 64, 22]);
  expect(batches.flat().map((leased) => leased.task.taskId)).toEqual(Array.from({ length: 150 }, (_, i) => i));
  expect(w1.frames[0]).toMatchObject({ sender: 'd1', replyTo: 'dispatcher.d1' });
});

test('a frame of tasks holds at most 256 KiB', async () => {
  const { dispatcher, registry, peer } = await open();
  const w1 = await readQueue(peer, 'w1');
  registry.join('w1', 100);
  dispatcher.submit(tasks(10, { payload: new Uint8Array(100_000) }));
  await w1.until(() => w1.frames.length === 5);
  for (const frame of w1.frames) expect(decodeTasks(frame.body)).toHaveLength(2);
});

test('a cancel follows its task on the same queue', async () => {
  const { dispatcher, registry, peer } = await open();
  const w1 = await readQueue(peer, 'w1');
  registry.join('w1');
  dispatcher.submit(tasks(1));
  dispatcher.cancel(APP, 0, 'enough');
  await w1.until(() => w1.frames.length === 2);
  expect(w1.types()).toEqual(['tasks', 'cancel']);
  expect(decodeCancel((w1.frames[1] as Envelope).body)).toEqual([{ application: APP, taskId: 0, epoch: 1, reason: 'enough' }]);
});

test('the process is kept alive exactly while tasks are under way', async () => {
  const { dispatcher, registry, peer, transport, heard } = await open();
  const active = vi.spyOn(transport, 'setActive');
  const w1 = await readQueue(peer, 'w1');
  registry.join('w1');
  dispatcher.submit(tasks(2));
  expect(active.mock.calls).toEqual([[true]]);
  await w1.say(0, 1, 'FINISHED');
  await w1.say(1, 1, 'FINISHED');
  await heard.until(() => heard.ended.length === 2);
  expect(active.mock.calls).toEqual([[true], [false]]);
});

test('it is announced with its queue, and leaves when it is closed', async () => {
  const { dispatcher, registry } = await open();
  expect(registry.announced).toEqual(['dispatcher dispatcher.d1']);
  await dispatcher.close();
  expect(registry.left).toEqual(['d1']);
});

test('a task that names a blob which was not put is refused, with all of its batch', async () => {
  const { dispatcher, registry } = await open();
  registry.join('w1');
  const batch = [...tasks(1), ...tasks(1, { commons: ['nowhere'] }, 1)];
  expect(() => dispatcher.submit(batch)).toThrow(expect.objectContaining({ code: 'SP_DISPATCHER_BLOB_UNAVAILABLE' }));
  expect(dispatcher.stats().submitted).toBe(0);
});

test('a blob a worker lacks is sent again; one that was released fails the tasks that wait for it', async () => {
  const { dispatcher, registry, peer, heard } = await open();
  const w1 = await readQueue(peer, 'w1');
  registry.join('w1', 2);
  const [kept, gone] = [blob('kept'), blob('gone')];
  dispatcher.putBlob(kept);
  dispatcher.putBlob(gone);
  dispatcher.submit([...tasks(1, { commons: [kept.hash] }), ...tasks(1, { commons: [gone.hash] }, 1)]);
  await w1.until(() => w1.frames.length === 3);
  dispatcher.releaseBlob(gone.hash);
  await w1.send(MESSAGE.blobMissing, encodeBlobMissing([kept.hash, gone.hash]));
  await heard.until(() => heard.ended.length === 1);
  expect(heard.ended[0]).toMatchObject({ taskId: 1, state: 'FAILED' });
  expect(heard.errors[0]).toMatchObject({ code: 'SP_DISPATCHER_BLOB_UNAVAILABLE' });
  await w1.until(() => w1.frames.length === 5);
  expect(w1.types()).toEqual(['blob', 'blob', 'tasks', 'blob', 'cancel']);
});

test('a task or blob too large for the transport fails with a coded error, and its neighbours go through', async () => {
  const { dispatcher, registry, peer, heard } = await open({}, { maxFrameBytes: 50_000 });
  const w1 = await readQueue(peer, 'w1');
  registry.join('w1', 8);
  const large = blob('x'.repeat(60_000));
  dispatcher.putBlob(large);
  dispatcher.submit([
    ...tasks(2, { payload: new Uint8Array(1000) }),
    ...tasks(1, { payload: new Uint8Array(60_000) }, 2),
    ...tasks(1, { commons: [large.hash] }, 3),
    // Two that fit a frame each, but not one frame together.
    ...tasks(2, { payload: new Uint8Array(40_000) }, 4),
  ]);
  await heard.until(() => heard.ended.length === 2);
  expect(heard.ended.map((u) => `${u.state} ${u.taskId}`).sort()).toEqual(['FAILED 2', 'FAILED 3']);
  expect(heard.errors.map((error) => String(error.code)).sort()).toEqual(['SP_DISPATCHER_BLOB_UNAVAILABLE', 'SP_DISPATCHER_TASK_UNSENDABLE']);
  const ids = (): number[] => w1.frames.filter((f) => f.type === 'tasks').flatMap((f) => decodeTasks(f.body).map((leased) => leased.task.taskId));
  await w1.until(() => [0, 1, 4, 5].every((id) => ids().includes(id)));
});

test('a task that cannot be encoded fails, and its neighbours go through', async () => {
  const { dispatcher, registry, peer, heard } = await open();
  const w1 = await readQueue(peer, 'w1');
  registry.join('w1', 8);
  dispatcher.submit([...tasks(1), ...tasks(1, { stageId: -5 }, 1), ...tasks(1, {}, 2)]);
  await heard.until(() => heard.ended.length === 1);
  expect(heard.errors[0]).toMatchObject({ code: 'SP_DISPATCHER_TASK_UNSENDABLE', cause: { code: 'SP_PROTOCOL_BAD_VALUE' } });
  await w1.until(() => w1.frames.length === 2);
});

test('a listener that throws, or submits while it is told, disturbs nothing', async () => {
  const calls: string[] = [];
  const { dispatcher, registry, peer } = await open({
    listener: {
      statusUpdate(_application, { taskId, state }) {
        calls.push(`${state} ${taskId}`);
        if (taskId === 0) dispatcher.submit(tasks(1, {}, 10));
        throw new Error('listener bug');
      },
      handBack: () => undefined,
      workerLost: () => undefined,
      capacityChanged: () => undefined,
    },
  });
  const w1 = await readQueue(peer, 'w1');
  registry.join('w1', 2);
  dispatcher.submit(tasks(2));
  await w1.until(() => w1.frames.length === 1);
  await w1.say(0, 1, 'FINISHED');
  await w1.until(() => w1.frames.length === 2);
  await w1.say(10, 1, 'FINISHED');
  await w1.say(1, 1, 'FINISHED');
  await expect.poll(() => calls).toEqual(['FINISHED 0', 'FINISHED 10', 'FINISHED 1']);
});

test('frames that make no sense are refused, and those behind them are read', async () => {
  const { dispatcher, registry, peer, heard } = await open();
  const w1 = await readQueue(peer, 'w1');
  registry.join('w1');
  dispatcher.submit(tasks(1));
  await w1.send(MESSAGE.status, Uint8Array.of(255, 1, 2, 3));
  await w1.send('no-such-type', new Uint8Array(0));
  await w1.say(0, 1, 'FINISHED');
  await heard.until(() => heard.ended.length === 1);
  expect(dispatcher.stats().finished).toBe(1);
});

test('silence is noticed by ticks, and the next worker gets the work', async () => {
  const { dispatcher, registry, peer, heard, clock } = await open({ leaseMs: 1000, tickMs: 100 });
  const [w1, w2] = [await readQueue(peer, 'w1'), await readQueue(peer, 'w2')];
  registry.join('w1');
  dispatcher.submit(tasks(1));
  await w1.until(() => w1.frames.length === 1);
  registry.join('w2');
  clock.pass(900);
  registry.beat('w2');
  expect(heard.lost).toEqual([]);
  clock.pass(300);
  expect(heard.lost).toEqual(['w1']);
  await w2.until(() => w2.frames.length === 1);
  // It is told to stop as well, should it still be there.
  await w1.until(() => w1.types().includes('cancel'));
});

test('a dispatcher that was stopped itself loses nobody: it reads the beats that waited first', async () => {
  const { registry, heard, clock } = await open({ leaseMs: 1000, tickMs: 100 });
  registry.join('w1');
  clock.pass(3_600_000, true);
  expect(heard.lost).toEqual([]);
  registry.beat('w1');
  clock.pass(900);
  expect(heard.lost).toEqual([]);
  clock.pass(300);
  expect(heard.lost).toEqual(['w1']);
});

test('the queue of a worker that has left is dropped with what is in it', async () => {
  const { dispatcher, registry, transport } = await open();
  const deleted = vi.spyOn(transport, 'deleteQueue');
  registry.join('w1');
  dispatcher.submit(tasks(1));
  registry.leave('w1');
  expect(deleted.mock.calls).toEqual([['worker.w1']]);
});

test('a failure to start leaves nothing behind', async () => {
  const transport = await connectTransport(`memory:${newId('test')}`);
  ends.add(() => transport.close());
  const registry = new FakeRegistry();
  registry.watch = async () => {
    throw new Error('no registry');
  };
  await expect(createDispatcher({ transport, registry, selector: createSelector(), listener: new Recorder(), logger: silent, id: 'd9' })).rejects.toThrow(
    'no registry',
  );
  expect(registry.left).toEqual(['d9']);
});
