import { afterEach, expect, test, vi } from 'vitest';
import { contentHash, newId } from '../../src/core/ids.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { Dispatcher } from '../../src/dispatcher/contract.ts';
import type { LocalDispatcher } from '../../src/dispatcher/local.ts';
import { applicationsQueue } from '../../src/dispatcher/gateway.ts';
import { connectDispatcher } from '../../src/dispatcher/remote.ts';
import { startDispatcherServer, type DispatcherServer } from '../../src/dispatcher/server.ts';
import { envelopeFactory } from '../../src/protocol/batch.ts';
import { encodeBlobMissing, MESSAGE } from '../../src/protocol/messages.ts';
import { encodeAttach, SERVICE_MESSAGE } from '../../src/protocol/service-messages.ts';
import { StageTask } from '../../src/protocol/task.ts';
import type { Envelope } from '../../src/protocol/envelope.ts';
import { createRegisterCenter } from '../../src/registry/index.ts';
import { leaderOf } from '../../src/registry/leader.ts';
import { createSelector } from '../../src/selectors/index.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { createWorkerHost } from '../../src/worker/host.ts';
import { cleanup, FakeRunner, Recorder } from '../worker/fixtures.ts';
import { task } from './fixtures.ts';

const ends = cleanup();
afterEach(() => ends.run());

const BEATS = { beatMs: 40, ttlMs: 800 };
const TIME = { timeout: 60_000 };
const silent: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** What a test does to the frames of one process. */
interface Line {
  /** Nothing goes out or comes in. Frames that come in meanwhile are heard afterwards, as by a process that was stopped. */
  stopped: boolean;
  /** How often each frame to a queue is sent. */
  times: (queue: string, envelope: Envelope) => number;
  resume(): void;
}

/** A transport as `line` lets it through. */
function over(transport: Transport, line: Line & { readonly late: (() => void)[] }): Transport {
  const later = (act: () => void): void => void (line.stopped ? line.late.push(act) : act());
  return {
    ...transport,
    url: transport.url,
    async send(queue, envelope) {
      if (line.stopped) return;
      for (let i = line.times(queue, envelope); i > 0; i--) await transport.send(queue, envelope);
    },
    async broadcast(topic, envelope) {
      if (!line.stopped) await transport.broadcast(topic, envelope);
    },
    consume: (queue, options, handler) => transport.consume(queue, options, (delivery) => later(() => handler(delivery))),
    subscribe: (topic, handler) => transport.subscribe(topic, (envelope) => later(() => handler(envelope))),
    deleteQueue: async (queue) => void (line.stopped || (await transport.deleteQueue(queue))),
  };
}

function aLine(): Line & { readonly late: (() => void)[] } {
  const line = {
    stopped: false,
    late: [] as (() => void)[],
    times: () => 1,
    resume() {
      line.stopped = false;
      for (const act of line.late.splice(0)) act();
    },
  };
  return line;
}

/** A cluster in this process over a broker in memory. */
async function cluster() {
  const url = `memory:${newId('remote')}`;
  const connect = async (line = aLine()): Promise<Transport> => {
    const transport = over(await connectTransport(url), line);
    ends.add(() => transport.close());
    return transport;
  };
  const keep = await connectTransport(url);
  ends.add(() => keep.close());
  return {
    connect,
    async server(line = aLine()): Promise<{ server: DispatcherServer; leading: LocalDispatcher[]; line: Line }> {
      const leading: LocalDispatcher[] = [];
      const server = await startDispatcherServer({
        url,
        connect: () => connect(line),
        ...BEATS,
        logger: silent,
        dispatcher: async () => ({ selector: createSelector('LEAST_LOADED'), tickMs: 20 }),
        onLeading: (dispatcher) => void leading.push(dispatcher),
      });
      ends.add(() => {
        line.stopped = false;
        return server.drain(0);
      });
      return { server, leading, line };
    },
    async worker(runner: FakeRunner, line = aLine()) {
      const transport = await connect(line);
      const registry = createRegisterCenter(transport, BEATS);
      ends.add(() => registry.close());
      const host = await createWorkerHost({ transport, registry, runners: [runner], slots: 4, loadIntervalMs: 40, logger: silent });
      ends.add(() => host.close());
      return host;
    },
    async application(line = aLine(), takeoverMs = 30_000) {
      const transport = await connect(line);
      const registry = createRegisterCenter(transport, BEATS);
      ends.add(() => registry.close());
      const id = newId('app');
      const heard = new Recorder();
      const announcement = await registry.announce({ kind: 'application', id, host: 'h', pid: 1, version: '', slots: 0, kinds: [], labels: {}, queue: '' });
      const dispatcher = await connectDispatcher({
        transport,
        registry,
        profile: { application: id },
        listener: heard,
        beatMs: BEATS.beatMs,
        takeoverMs,
        logger: silent,
      });
      ends.add(() => dispatcher.close());
      const submit = (count: number, from = 0, commons: readonly string[] = []): void =>
        dispatcher.submit(Array.from({ length: count }, (_, i) => ({ application: id, task: task(from + i, { commons }) })));
      return { id, heard, dispatcher, submit, leave: () => announcement.leave() };
    },
  };
}

const workers = (dispatcher: Dispatcher, count: number): Promise<void> =>
  vi.waitUntil(() => dispatcher.capacity().workers === count, { timeout: 30_000, interval: 5 }) as unknown as Promise<void>;
const finished = (heard: Recorder): number[] => heard.ended.filter(({ state }) => state === 'FINISHED').map(({ taskId }) => taskId);
const blob = (text: string) => ({ hash: contentHash(Buffer.from(text)), bytes: Buffer.from(text) });

test('two applications share a dispatcher: each hears of its own tasks, once', TIME, async () => {
  const c = await cluster();
  await c.server();
  await c.worker(new FakeRunner((given) => Buffer.from(String(given.taskId))));
  const [a, b] = await Promise.all([c.application(), c.application()]);
  await Promise.all([workers(a.dispatcher, 1), workers(b.dispatcher, 1)]);
  const stage = blob('shared');
  for (const app of [a, b]) {
    app.dispatcher.putBlob(stage);
    app.submit(200, 0, [stage.hash]);
  }
  await Promise.all([a, b].map((app) => app.heard.until(() => app.heard.ended.length === 200)));
  for (const { heard } of [a, b]) {
    expect(finished(heard).sort((x, y) => x - y)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    for (const { taskId, data } of heard.ended) expect(Buffer.from(data).toString()).toBe(String(taskId));
  }
});

test('an application learns from results how many tasks of a stage it may have out', TIME, async () => {
  const c = await cluster();
  await c.server();
  const runner = new FakeRunner((given) => Buffer.from(String(given.taskId)));
  runner.runMs = () => 0.5;
  await c.worker(runner);
  const app = await c.application();
  await workers(app.dispatcher, 1);
  const stage = blob('a stage');
  app.dispatcher.putBlob(stage);
  const submit = (count: number, from: number): void =>
    app.dispatcher.submit(
      Array.from({ length: count }, (_, i) => ({ application: app.id, task: new StageTask(task(from + i, { stageId: 3, commons: [stage.hash] })) })),
    );
  expect(app.dispatcher.capacity()).toEqual({ slots: 4, credit: 8, workers: 1 });
  submit(2, 0);
  expect(app.dispatcher.capacity().credit).toBe(6);
  await app.heard.until(() => app.heard.ended.length === 2);
  expect(app.dispatcher.cost(app.id, [stage.hash])).toBe(1);
  submit(8, 2);
  await app.heard.until(() => app.heard.ended.length === 10);
  // 5 ms for each slot: 40 of them for 4 slots, which have 8 places.
  expect(app.dispatcher.cost(app.id, [stage.hash])).toBeCloseTo(0.2, 2);
  expect(app.dispatcher.cost(app.id, ['other'])).toBe(1);
  submit(30, 10);
  expect(app.dispatcher.capacity().credit).toBeCloseTo(2, 1);
  await app.heard.until(() => app.heard.ended.length === 40);
  expect(app.dispatcher.capacity()).toEqual({ slots: 4, credit: 8, workers: 1 });
});

test('every frame twice: each task is run once and reported once', TIME, async () => {
  const c = await cluster();
  const twice = { ...aLine(), times: () => 2 };
  await c.server({ ...aLine(), times: () => 2 });
  const runner = new FakeRunner(() => new Uint8Array(1));
  await c.worker(runner, { ...aLine(), times: () => 2 });
  const app = await c.application(twice);
  await workers(app.dispatcher, 1);
  app.submit(100);
  await app.heard.until(() => app.heard.ended.length === 100);
  expect(new Set(finished(app.heard)).size).toBe(100);
  expect(runner.begun).toHaveLength(100);
});

test('frames that are lost are made good: tasks and blobs are sent again, reports said again', TIME, async () => {
  const c = await cluster();
  // The first frame of each kind is lost, both ways.
  const forgetful = (): Line & { readonly late: (() => void)[] } => {
    const lost = new Set<string>();
    const lossy = new Set<string>([MESSAGE.tasks, MESSAGE.blob, MESSAGE.status]);
    return { ...aLine(), times: (queue, { type }) => (lossy.has(type) && !queue.startsWith('worker.') && !lost.has(type) ? (lost.add(type), 0) : 1) };
  };
  await c.server(forgetful());
  await c.worker(new FakeRunner(() => new Uint8Array(1)));
  const app = await c.application(forgetful());
  await workers(app.dispatcher, 1);
  const stage = blob('once lost');
  app.dispatcher.putBlob(stage);
  app.submit(10, 0, [stage.hash]);
  await app.heard.until(() => app.heard.ended.length === 10);
  expect(new Set(finished(app.heard)).size).toBe(10);
});

test('a leader that is stopped: the next adopts what runs, nothing runs twice, and who wakes up is refused', TIME, async () => {
  const c = await cluster();
  const first = await c.server();
  await vi.waitUntil(() => first.leading.length === 1, { timeout: 30_000 });
  const second = await c.server();
  const runner = new FakeRunner();
  await c.worker(runner);
  const app = await c.application();
  await workers(app.dispatcher, 1);
  app.submit(6);
  await vi.waitUntil(() => runner.begun.length === 4, { timeout: 30_000 });
  first.line.stopped = true;
  await vi.waitUntil(() => second.leading.length === 1, { timeout: 30_000 });
  const next = second.leading[0] as LocalDispatcher;
  expect(next.term).toBe((first.leading[0] as LocalDispatcher).term + 1);
  await vi.waitUntil(() => next.stats().adopted > 0 && next.stats().submitted === 6, { timeout: 30_000 });
  for (let id = 0; id < 6; id++) {
    await vi.waitUntil(() => runner.begun.some(({ taskId }) => taskId === id), { timeout: 30_000 });
    runner.finish(id);
  }
  await app.heard.until(() => app.heard.ended.length === 6);
  first.line.resume();
  await vi.waitUntil(() => !first.server.isLeading, { timeout: 30_000 });
  expect(finished(app.heard).sort()).toEqual([0, 1, 2, 3, 4, 5]);
  expect(runner.begun.map(({ taskId }) => taskId).sort()).toEqual([0, 1, 2, 3, 4, 5]);
  expect(runner.killed).toEqual([]);
  expect(second.server.isLeading).toBe(true);
});

test('asked to leave, a leader hands over to its standby while tasks run', TIME, async () => {
  const c = await cluster();
  const first = await c.server();
  await vi.waitUntil(() => first.leading.length === 1, { timeout: 30_000 });
  const second = await c.server();
  const runner = new FakeRunner();
  await c.worker(runner);
  const app = await c.application();
  await workers(app.dispatcher, 1);
  app.submit(2);
  await vi.waitUntil(() => runner.begun.length === 2, { timeout: 30_000 });
  await first.server.drain(60_000);
  // What ends between two leaders is said to the next.
  runner.finish(0);
  await vi.waitUntil(() => second.leading.length === 1, { timeout: 30_000 });
  runner.finish(1);
  await app.heard.until(() => app.heard.ended.length === 2);
  expect(finished(app.heard).sort()).toEqual([0, 1]);
});

test('when no dispatcher is heard any more, tasks go back to the application; when one appears, the next go out', TIME, async () => {
  const c = await cluster();
  const first = await c.server();
  const runner = new FakeRunner();
  await c.worker(runner);
  const app = await c.application(aLine(), 1500);
  await workers(app.dispatcher, 1);
  app.submit(3);
  await vi.waitUntil(() => runner.begun.length === 3, { timeout: 30_000 });
  first.line.stopped = true;
  await app.heard.until(() => app.heard.handedBack.length === 3);
  expect(app.dispatcher.capacity()).toEqual({ slots: 0, credit: 0, workers: 0 });
  await c.server();
  await workers(app.dispatcher, 1);
  app.submit(1, 3);
  await vi.waitUntil(() => runner.begun.length === 4, { timeout: 30_000 });
  runner.finish(3);
  await app.heard.until(() => app.heard.ended.length === 1);
  expect(finished(app.heard)).toEqual([3]);
});

test('an application that ends or dies leaves no task on a worker and no blob that nobody else holds', TIME, async () => {
  const c = await cluster();
  const { leading } = await c.server();
  const runner = new FakeRunner();
  await c.worker(runner);
  const [a, b] = await Promise.all([c.application(), c.application()]);
  await Promise.all([workers(a.dispatcher, 1), workers(b.dispatcher, 1)]);
  const shared = blob('shared');
  const own = blob('own');
  for (const one of [shared, own]) a.dispatcher.putBlob(one);
  b.dispatcher.putBlob(shared);
  a.submit(2, 0, [shared.hash, own.hash]);
  b.submit(1, 0, [shared.hash]);
  await vi.waitUntil(() => runner.begun.length === 3, { timeout: 30_000 });
  await a.leave();
  await vi.waitUntil(() => runner.killed.length === 2, { timeout: 30_000 });
  const dispatcher = leading[0] as LocalDispatcher;
  await vi.waitUntil(() => !dispatcher.hasBlob(own.hash), { timeout: 30_000 });
  expect(dispatcher.hasBlob(shared.hash)).toBe(true);
  runner.finish(0);
  await b.heard.until(() => b.heard.ended.length === 1);
});

test('to an application that has left nobody writes, whatever of it is read afterwards', TIME, async () => {
  const c = await cluster();
  const line = aLine();
  const written: string[] = [];
  line.times = (queue) => (written.push(queue), 1);
  await c.server(line);
  const transport = await c.connect();
  const registry = createRegisterCenter(transport, BEATS);
  ends.add(() => registry.close());
  const service = await new Promise<string>((resolve) => {
    void registry.watch(
      'dispatcher',
      (event) => event.type === 'joined' && leaderOf(event.entry) !== undefined && resolve(applicationsQueue(event.entry.queue)),
    );
  });
  const present = { kind: 'application', host: 'h', pid: 1, version: '', slots: 0, kinds: [], labels: {}, queue: '' } as const;
  const speak = (id: string) => {
    const envelope = envelopeFactory(id, `application.${id}`);
    return {
      attach: () => transport.send(service, envelope(SERVICE_MESSAGE.attach, encodeAttach({ profile: { application: id }, term: 1 }))),
      release: () => transport.send(service, envelope(SERVICE_MESSAGE.release, encodeBlobMissing(['0'.repeat(64)]))),
    };
  };
  const hears = (id: string): Promise<void> =>
    vi.waitUntil(() => written.includes(`application.${id}`), { timeout: 30_000, interval: 5 }) as unknown as Promise<void>;

  const a = speak('a');
  const announcement = await registry.announce({ ...present, id: 'a' });
  await a.attach();
  await hears('a');
  await announcement.leave();
  // Frames are read in their order, and the next application is answered: what was said by then is all.
  await registry.announce({ ...present, id: 'b' });
  await speak('b').attach();
  await hears('b');
  written.length = 0;
  await a.release();
  await a.attach();
  await speak('b').attach();
  await speak('never seen').release();
  await hears('never seen');
  expect(written).not.toContain('application.a');
});

test('a cancel reaches the worker; what is cancelled is reported once', TIME, async () => {
  const c = await cluster();
  await c.server();
  const runner = new FakeRunner();
  await c.worker(runner);
  const app = await c.application();
  await workers(app.dispatcher, 1);
  app.submit(20);
  await vi.waitUntil(() => runner.begun.length === 4, { timeout: 30_000 });
  for (let id = 0; id < 20; id++) app.dispatcher.cancel(app.id, id, 'not needed');
  await app.heard.until(() => app.heard.ended.length === 20);
  expect(new Set(app.heard.ended.map(({ state }) => state))).toEqual(new Set(['KILLED']));
});

test('applications of this process attach beside those of the wire', TIME, async () => {
  const c = await cluster();
  const { leading } = await c.server();
  await c.worker(new FakeRunner(() => new Uint8Array(1)));
  const app = await c.application();
  await workers(app.dispatcher, 1);
  const heard = new Recorder();
  const dispatcher = leading[0] as LocalDispatcher;
  const port = dispatcher.attach({ application: 'inner' }, heard);
  expect(() => dispatcher.attach({ application: 'inner' }, heard)).toThrow(expect.objectContaining({ code: 'SP_DISPATCHER_ATTACHED' }));
  port.submit([task(0), task(1)]);
  app.submit(2);
  await Promise.all([heard.until(() => heard.ended.length === 2), app.heard.until(() => app.heard.ended.length === 2)]);
  port.detach('done');
});
