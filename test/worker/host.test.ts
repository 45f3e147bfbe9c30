import { afterEach, expect, test, vi } from 'vitest';
import { contentHash, newId } from '../../src/core/ids.ts';
import type { Logger } from '../../src/core/logger.ts';
import { envelopeFactory } from '../../src/protocol/batch.ts';
import { decodeFailure } from '../../src/protocol/failure.ts';
import { decodeBlobMissing, decodeStatus, encodeBlob, encodeCancel, encodeDrain, encodeTasks, MESSAGE, type LeasedTask } from '../../src/protocol/messages.ts';
import type { Load, RegisterCenter, RegistryEvent } from '../../src/registry/contract.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { createWorkerHost, type WorkerHostOptions } from '../../src/worker/host.ts';
import { APP, task } from '../dispatcher/fixtures.ts';
import { cleanup, FakeRunner } from './fixtures.ts';
import { leakCheck } from '../support/leaks.ts';

const ends = cleanup();
leakCheck();
afterEach(() => ends.run());

const silent: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

class FakeRegistry implements RegisterCenter {
  readonly loads: Load[] = [];
  readonly log: string[] = [];
  tell: (event: RegistryEvent) => void = () => undefined;

  async announce(entry: { id: string; slots: number; kinds: readonly string[]; queue: string }) {
    this.log.push(`announce ${entry.id} ${entry.slots} ${entry.kinds.join()} ${entry.queue}`);
    return { update: (load: Load) => void this.loads.push(load), leave: async () => void this.log.push(`leave ${entry.id}`) };
  }

  async watch(_kind: string, listener: (event: RegistryEvent) => void) {
    this.tell = listener;
    return () => undefined;
  }

  async evict(): Promise<void> {}

  async close(): Promise<void> {}
}

/** A host `w1` and, by hand, its dispatcher `d1`. */
async function open(runners: FakeRunner[], over: Partial<WorkerHostOptions> = {}, transportOptions = {}) {
  const url = `memory:${newId('test')}`;
  const transport = await connectTransport(url, transportOptions);
  ends.add(() => transport.close());
  const peer = await connectTransport(url);
  ends.add(() => peer.close());
  const registry = new FakeRegistry();
  const host = await createWorkerHost({ id: 'w1', transport, registry, runners, slots: 2, logger: silent, ...over });
  ends.add(() => host.close());
  const said: string[] = [];
  const datas = new Map<string, Uint8Array>();
  const frames: number[] = [];
  const missing: string[] = [];
  const waiting = new Set<() => void>();
  await peer.consume('dispatcher.d1', { prefetch: 1000 }, ({ envelope }) => {
    if (envelope.type === MESSAGE.blobMissing) missing.push(...decodeBlobMissing(envelope.body));
    else {
      const updates = decodeStatus(envelope.body);
      frames.push(updates.length);
      for (const { epoch, update } of updates) {
        said.push(`${update.state} ${update.taskId}@${epoch}`);
        datas.set(`${update.taskId}@${epoch}`, update.data);
      }
    }
    for (const look of [...waiting]) look();
  });
  const envelope = envelopeFactory('d1', 'dispatcher.d1');
  const send = (type: string, body: Uint8Array): Promise<void> => peer.send('worker.w1', envelope(type, body));
  return {
    transport: transport as Transport,
    registry,
    host,
    said,
    frames,
    missing,
    send,
    data: (which: string) => datas.get(which) as Uint8Array,
    lease: (...tasks: LeasedTask[]) => send(MESSAGE.tasks, encodeTasks(tasks)),
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
  };
}

const leased = (taskId: number, over: Parameters<typeof task>[1] = {}, epoch = 1): LeasedTask => ({ application: APP, epoch, task: task(taskId, over) });

test('it announces itself with its queue, slots and kinds, and leaves on close', async () => {
  const { host, registry, transport } = await open([new FakeRunner(), new FakeRunner(undefined, 'other')]);
  const active = vi.spyOn(transport, 'setActive');
  expect(registry.log).toEqual(['announce w1 2 js,other worker.w1']);
  await host.close();
  await host.closed;
  expect(registry.log.at(-1)).toBe('leave w1');
  expect(active).toHaveBeenLastCalledWith(false);
});

test('results, failures and kills come back as the runner says, with RUNNING for what lasts longer than a turn', async () => {
  const runner = new FakeRunner();
  const w = await open([runner], { slots: 3 });
  await w.lease(leased(0), leased(1), leased(2));
  await w.until(() => w.said.length === 3);
  expect(w.said).toEqual(['RUNNING 0@1', 'RUNNING 1@1', 'RUNNING 2@1']);
  runner.finish(0, Buffer.from('result'));
  runner.fail(1, new TypeError('user code'));
  await w.send(MESSAGE.cancel, encodeCancel([{ application: APP, taskId: 2, epoch: 1, reason: 'enough' }]));
  await w.until(() => w.said.length === 6);
  expect(w.said.slice(3).sort()).toEqual(['FAILED 1@1', 'FINISHED 0@1', 'KILLED 2@1']);
  expect(Buffer.from(w.data('0@1')).toString()).toBe('result');
  expect(decodeFailure(w.data('1@1'))).toMatchObject({ name: 'TypeError', message: 'user code' });
  expect(decodeFailure(w.data('2@1'))).toMatchObject({ code: 'SP_TASK_KILLED' });
});

test('what ends in the turn it began says so once, and answers of a turn share frames of at most 64', async () => {
  const w = await open([new FakeRunner(() => new Uint8Array(1))], { slots: 200 });
  await w.lease(...Array.from({ length: 150 }, (_, i) => leased(i)));
  await w.until(() => w.said.length === 150);
  expect(w.said.every((line) => line.startsWith('FINISHED'))).toBe(true);
  expect(w.frames).toEqual([64, 64, 22]);
});

test('a task of an unknown kind fails with a coded error that names the kinds', async () => {
  const w = await open([new FakeRunner()]);
  await w.lease(leased(0, { kind: 'cobol' }));
  await w.until(() => w.said.includes('FAILED 0@1'));
  expect(decodeFailure(w.data('0@1'))).toMatchObject({ code: 'SP_WORKER_UNKNOWN_KIND', message: expect.stringMatching(/"cobol".*w1.*js/) as string });
});

test('a runner that asks for more than there are slots is given it, and what it asks may change', async () => {
  const runner = new FakeRunner();
  runner.capacity = 3;
  const w = await open([runner], { slots: 2 });
  await w.lease(...[0, 1, 2, 3, 4, 5].map((id) => leased(id)));
  await w.until(() => w.said.length === 3);
  expect(w.host.load()).toEqual({ running: 3, queued: 3, draining: false });
  runner.capacity = 1;
  runner.finish(0);
  await w.until(() => w.said.includes('FINISHED 0@1'));
  // Never fewer than the slots: two of three still run, so none begins.
  expect(w.host.load()).toEqual({ running: 2, queued: 3, draining: false });
});

test('a runner that throws instead of rejecting fails its task only', async () => {
  const runner = new FakeRunner();
  runner.run = () => {
    throw new Error('runner bug');
  };
  const w = await open([runner]);
  await w.lease(leased(0));
  await w.until(() => w.said.includes('FAILED 0@1'));
  expect(decodeFailure(w.data('0@1')).message).toBe('runner bug');
});

test('a frame is acknowledged when all its tasks have ended and their answers are taken, not before', async () => {
  const runner = new FakeRunner();
  const w = await open([runner], { slots: 4 });
  const acks: string[] = [];
  await w.lease(leased(0), leased(1));
  await w.lease(leased(2));
  await w.until(() => w.said.length === 3);
  runner.finish(2);
  runner.finish(0);
  await w.until(() => w.said.length === 5);
  // What was not acknowledged goes back to its queue.
  await w.transport.close();
  const peer = await connectTransport(w.transport.url);
  ends.add(() => peer.close());
  await new Promise<void>((resolve) => {
    void peer.consume('worker.w1', { prefetch: 10 }, (delivery) => {
      acks.push(`${delivery.envelope.type} redelivered ${delivery.redelivered}`);
      delivery.ack();
      resolve();
    });
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(acks).toEqual(['tasks redelivered true']);
});

test('a lease delivered twice is run once, and answered again when it has ended', async () => {
  const runner = new FakeRunner();
  const w = await open([runner]);
  await w.lease(leased(0));
  await w.lease(leased(0));
  await w.until(() => w.said.length === 1);
  runner.finish(0, Buffer.from('x'));
  await w.until(() => w.said.length === 2);
  await w.lease(leased(0));
  await w.until(() => w.said.length === 3);
  expect(w.said).toEqual(['RUNNING 0@1', 'FINISHED 0@1', 'FINISHED 0@1']);
  expect(runner.begun).toHaveLength(1);
});

test('blobs come once; one that was evicted is asked for again', async () => {
  const runner = new FakeRunner((t, blobs) => blobs(t.commons[0] as string));
  const w = await open([runner], { blobBytes: 10 });
  const [a, b] = ['aaaaaaaa', 'bbbbbbbb'].map((text) => ({ hash: contentHash(Buffer.from(text)), bytes: Buffer.from(text) })) as [
    { hash: string; bytes: Buffer },
    { hash: string; bytes: Buffer },
  ];
  await w.send(MESSAGE.blob, encodeBlob(a));
  await w.lease(leased(0, { commons: [a.hash] }));
  await w.until(() => w.said.includes('FINISHED 0@1'));
  expect(Buffer.from(w.data('0@1')).toString()).toBe('aaaaaaaa');
  await w.send(MESSAGE.blob, encodeBlob(b));
  await w.lease(leased(1, { commons: [b.hash] }), leased(2, { commons: [a.hash] }));
  await w.until(() => w.missing.length > 0);
  expect(w.missing).toEqual([a.hash]);
  await w.send(MESSAGE.blob, encodeBlob(a));
  await w.until(() => w.said.includes('FINISHED 2@1'));
  expect(Buffer.from(w.data('2@1')).toString()).toBe('aaaaaaaa');
});

test('a blob with other content than its hash says is refused', async () => {
  const w = await open([new FakeRunner()]);
  const hash = contentHash(Buffer.from('good'));
  await w.send(MESSAGE.blob, encodeBlob({ hash, bytes: Buffer.from('evil') }));
  await w.lease(leased(0, { commons: [hash] }));
  await w.until(() => w.missing.length > 0);
  expect(w.said).toEqual([]);
});

test('a result too large for the transport fails its task, and its neighbours go through', async () => {
  const w = await open([new FakeRunner((t) => new Uint8Array(t.taskId === 0 ? 60_000 : 30_000))], { slots: 4 }, { maxFrameBytes: 50_000 });
  await w.lease(leased(0), leased(1), leased(2));
  await w.until(() => w.said.length === 3);
  expect([...w.said].sort()).toEqual(['FAILED 0@1', 'FINISHED 1@1', 'FINISHED 2@1']);
  expect(decodeFailure(w.data('0@1'))).toMatchObject({ code: 'SP_WORKER_RESULT_TOO_LARGE' });
});

test('answers the transport could not take are sent when it can', async () => {
  const runner = new FakeRunner();
  const timers: (() => void)[] = [];
  const clock = {
    now: () => 0,
    wallTime: () => 0,
    every: () => ({ cancel: () => undefined }),
    after: (_ms: number, run: () => void) => (timers.push(run), { cancel: () => undefined }),
  };
  const w = await open([runner], { clock });
  await w.lease(leased(0));
  await vi.waitFor(() => expect(timers).toHaveLength(1));
  timers[0]?.();
  await w.until(() => w.said.length === 1);
  const send = vi.spyOn(w.transport, 'send').mockRejectedValueOnce(new Error('no connection'));
  runner.finish(0);
  await vi.waitFor(() => expect(timers).toHaveLength(2));
  expect(w.said).toEqual(['RUNNING 0@1']);
  timers[1]?.();
  await w.until(() => w.said.length === 2);
  expect(w.said[1]).toBe('FINISHED 0@1');
  send.mockRestore();
});

test('frames that make no sense are refused, and those behind them are read', async () => {
  const w = await open([new FakeRunner(() => new Uint8Array(0))]);
  for (const type of [MESSAGE.tasks, MESSAGE.blob, MESSAGE.cancel, MESSAGE.drain, 'no-such-type']) await w.send(type, Uint8Array.of(250, 3, 9));
  await w.lease(leased(0));
  await w.until(() => w.said.includes('FINISHED 0@1'));
});

test('asked to drain, it returns what has not begun, finishes the rest and closes', async () => {
  const runner = new FakeRunner();
  const w = await open([runner], { slots: 1 });
  await w.lease(leased(0), leased(1));
  await w.until(() => w.said.length === 1);
  await w.send(MESSAGE.drain, encodeDrain('maintenance'));
  await w.until(() => w.said.includes('LOST 1@1'));
  expect(w.registry.loads.at(-1)).toEqual({ running: 1, queued: 0, draining: true });
  runner.finish(0);
  await w.host.closed;
  expect(w.said).toEqual(['RUNNING 0@1', 'LOST 1@1', 'FINISHED 0@1']);
  expect(w.registry.log.at(-1)).toBe('leave w1');
  expect(runner.closed).toBe(true);
});

test('a task that outlasts the grace is ended and returned', async () => {
  const runner = new FakeRunner();
  const w = await open([runner], { drainGraceMs: 1 });
  await w.lease(leased(0));
  await w.until(() => w.said.length === 1);
  await w.host.drain();
  expect(runner.killed).toEqual([0]);
  await w.until(() => w.said.includes('LOST 0@1'));
});

test('without anything to do, draining ends at once, and may be asked for twice', async () => {
  const w = await open([new FakeRunner()]);
  await Promise.all([w.host.drain(), w.host.drain(), w.host.close()]);
  expect(w.registry.log.filter((line) => line === 'leave w1')).toHaveLength(1);
});

test('what a dispatcher that has gone had leased is ended', async () => {
  const runner = new FakeRunner();
  const w = await open([runner], { slots: 1 });
  await w.lease(leased(0), leased(1));
  await w.until(() => w.said.length === 1);
  w.registry.tell({ type: 'left', id: 'd1', reason: 'expired' });
  expect(runner.killed).toEqual([0]);
  expect(w.host.load()).toEqual({ running: 0, queued: 0, draining: false });
});

test('a connection that stays lost is told of; one that comes back in time is not', async () => {
  const orphaned: (Error | undefined)[] = [];
  const timers: { run: () => void; cancelled: boolean }[] = [];
  const clock = {
    ...{ now: () => 0, wallTime: () => 0, every: () => ({ cancel: () => undefined }) },
    after(_ms: number, run: () => void) {
      const timer = { run, cancelled: false };
      timers.push(timer);
      return { cancel: () => void (timer.cancelled = true) };
    },
  };
  const transport = await connectTransport(`memory:${newId('test')}`);
  ends.add(() => transport.close());
  let say: (state: 'connected' | 'disconnected', reason?: Error) => void = () => undefined;
  transport.onConnection = (listener) => {
    say = listener;
    return () => undefined;
  };
  const host = await createWorkerHost({
    transport,
    registry: new FakeRegistry(),
    runners: [],
    slots: 1,
    clock,
    logger: silent,
    onOrphaned: (reason) => orphaned.push(reason),
  });
  say('disconnected', new Error('first'));
  say('connected');
  expect(timers.map((timer) => timer.cancelled)).toEqual([true]);
  const reason = new Error('second');
  say('disconnected', reason);
  timers[1]?.run();
  expect(orphaned).toEqual([reason]);
  const closing = host.close();
  await closing;
});

test('options that make no sense are refused', async () => {
  const transport = await connectTransport(`memory:${newId('test')}`);
  ends.add(() => transport.close());
  const registry = new FakeRegistry();
  for (const slots of [0, -1, 1.5, Number.NaN]) {
    await expect(createWorkerHost({ transport, registry, runners: [], slots })).rejects.toMatchObject({ code: 'SP_WORKER_BAD_OPTION' });
  }
  await expect(createWorkerHost({ transport, registry, runners: [new FakeRunner(), new FakeRunner()], slots: 1 })).rejects.toMatchObject({
    code: 'SP_WORKER_DUPLICATE_KIND',
  });
});
