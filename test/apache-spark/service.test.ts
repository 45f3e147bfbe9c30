import { afterEach, describe, expect, test } from 'vitest';
import {
  pinSparkTasks,
  startAgentService,
  VERSIONS_LABEL,
  type AgentService,
  type AgentServiceOptions,
  type SparkEvent,
} from '../../src/apache-spark/index.ts';
import { restore } from '../../src/apache-spark/differences.ts';
import { sparkErrors } from '../../src/apache-spark/errors.ts';
import { FRAME, FrameWriter } from '../../src/apache-spark/frames.ts';
import { MAX_AHEAD } from '../../src/apache-spark/run-ahead.ts';
import { readSparkLabels } from '../../src/apache-spark/announcement.ts';
import { openForWorker, sealForWorkers } from '../../src/apache-spark/secret.ts';
import { newKeyLine, parseKeyRing } from '../../src/security/index.ts';
import { createDispatcher } from '../../src/dispatcher/service.ts';
import { createRegisterCenter } from '../../src/registry/index.ts';
import type { RegistryEvent } from '../../src/registry/contract.ts';
import { createSelector } from '../../src/selectors/index.ts';
import type { HostSelector } from '../../src/selectors/contract.ts';
import { EMPTY_BYTES, type TaskDescription } from '../../src/protocol/task.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { createWorkerHost } from '../../src/worker/host.ts';
import type { BlobSource, TaskRunner } from '../../src/worker/contract.ts';
import { attach, connectAgent, DRIVER, event, launch, type TestAgent } from '../support/spark-agent.ts';

const until = async (what: () => boolean, message: string): Promise<void> => {
  const deadline = Date.now() + 20_000;
  while (!what()) {
    if (Date.now() > deadline) throw new Error(message);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** Runs a task until it is let go. */
class HeldRunner implements TaskRunner {
  readonly kind = 'spark';
  readonly given: TaskDescription[] = [];
  readonly blobs: Uint8Array[] = [];
  readonly #ends = new Map<number, { resolve: (bytes: Uint8Array) => void; reject: (error: Error) => void }>();

  run(task: TaskDescription, blobs: BlobSource): Promise<Uint8Array> {
    this.given.push(task);
    for (const hash of task.commons) this.blobs.push(blobs(hash));
    return new Promise((resolve, reject) => this.#ends.set(task.taskId, { resolve, reject }));
  }

  finish(taskId: number): void {
    this.#ends.get(taskId)?.resolve(EMPTY_BYTES);
  }

  fail(taskId: number, error: Error = new Error('its executor is gone')): void {
    this.#ends.get(taskId)?.reject(error);
  }

  kill(): void {
    // Spark kills what runs.
  }

  close(): Promise<void> {
    for (const { reject } of this.#ends.values()) reject(new Error('closed'));
    return Promise.resolve();
  }
}

interface Cluster {
  readonly service: AgentService;
  readonly events: SparkEvent[];
  readonly registry: ReturnType<typeof createRegisterCenter>;
  addWorker(id: string, versions?: string): Promise<{ runner: HeldRunner; close: () => Promise<void>; drain: () => Promise<void> }>;
  agent(more?: Partial<Parameters<typeof connectAgent>[1]>): Promise<TestAgent>;
}

let clusters = 0;

async function cluster(options: Partial<AgentServiceOptions> = {}, selector: HostSelector = createSelector('ROUND_ROBIN')): Promise<Cluster> {
  const url = `memory:spark-service-${++clusters}`;
  const open = async () => {
    const transport = await connectTransport(url, { role: 'hub' });
    ends.push(() => transport.close());
    const registry = createRegisterCenter(transport, { beatMs: 50, ttlMs: 1000 });
    ends.push(() => registry.close());
    return { transport, registry };
  };
  const { transport, registry } = await open();
  const dispatcher = await createDispatcher({ transport, registry, selector: pinSparkTasks(selector), tickMs: 50 });
  ends.push(() => dispatcher.close());
  const events: SparkEvent[] = [];
  const service = await startAgentService({
    port: 0,
    registry,
    selector,
    attach: (profile, listener) => dispatcher.attach(profile, listener),
    onEvent: (_application, one) => events.push(one),
    ...options,
  });
  ends.push(() => service.close());
  return {
    service,
    events,
    registry,
    async addWorker(id, versions = '4.0.1/2.13') {
      const there = await open();
      const runner = new HeldRunner();
      const host = await createWorkerHost({
        ...there,
        runners: [runner],
        slots: 2,
        id,
        labels: { [VERSIONS_LABEL]: versions },
        drainGraceMs: 20_000,
        loadIntervalMs: 20,
      });
      ends.push(() => host.close());
      await until(() => dispatcher.registrations().some((known) => known.id === id), `${id} did not join`);
      return { runner, close: () => host.close(), drain: () => host.drain() };
    },
    async agent(more = {}) {
      const agent = await connectAgent(service.address, { hello: DRIVER, ...more });
      ends.push(() => agent.close());
      return agent;
    },
  };
}

const tasks = (...of: readonly (readonly [number, string])[]): FrameWriter => {
  const frame = new FrameWriter(FRAME.tasks);
  for (const [taskId, executorId] of of) launch(frame, taskId, executorId);
  return frame;
};

const fallen = async (agent: TestAgent): Promise<number[]> => {
  const reader = await agent.next(FRAME.fallback);
  const taskIds: number[] = [];
  while (reader.more) taskIds.push(reader.u64());
  return taskIds;
};

describe('the agent link of a dispatcher', () => {
  test('captured tasks run on the worker of the executor that Spark has written down', async () => {
    const { addWorker, agent, service } = await cluster();
    const [one, two] = [await addWorker('w1'), await addWorker('w2')];
    const driver = await agent();
    driver.send(attach('900001', 'w1'));
    driver.send(attach('900002', 'w2'));
    driver.send(tasks([1, '900001'], [2, '900002'], [3, '900002']));
    await until(() => one.runner.given.length + two.runner.given.length === 3, 'the tasks did not arrive');
    expect(one.runner.given.map(({ taskId }) => taskId)).toEqual([1]);
    expect(two.runner.given.map(({ taskId, executorId, stageId }) => [taskId, executorId, stageId])).toEqual([
      [2, '900002', 0],
      [3, '900002', 0],
    ]);
    for (const taskId of [1, 2, 3]) {
      driver.send(event('started', taskId, 1500));
      one.runner.finish(taskId);
      two.runner.finish(taskId);
    }
    await until(() => service.applications()[0]?.figures.rerouted === 3, 'they did not end');
    const figures = service.applications()[0]?.figures;
    expect(figures).toMatchObject({ captured: 3, fallenBack: 0, live: 0, latency: { count: 3, sumMs: 4.5 } });
    expect(figures?.workers.map(({ workerId, finished }) => [workerId, finished])).toEqual([
      ['w1', 1],
      ['w2', 2],
    ]);
  });

  test('what tasks of a stage have in common is sent to a worker once', async () => {
    const { addWorker, agent } = await cluster();
    const worker = await addWorker('w1');
    const driver = await agent();
    driver.send(attach('900001', 'w1'));
    const common = Buffer.from('in common '.repeat(100));
    const whole = (taskId: number): Buffer => Buffer.concat([Buffer.alloc(7), Buffer.of(taskId), common]);
    const frame = new FrameWriter(FRAME.tasks);
    for (const taskId of [1, 2]) launch(frame, taskId, '900001', common);
    driver.send(frame);
    await until(() => worker.runner.given.length === 2, 'the tasks did not arrive');
    for (const taskId of [1, 2]) worker.runner.finish(taskId);
    // Its driver is linked anew.
    driver.close();
    const again = await agent();
    again.send(attach('900001', 'w1'));
    again.send(launch(new FrameWriter(FRAME.tasks), 3, '900001', common));
    await until(() => worker.runner.given.length === 3, 'the task did not arrive');
    const [first, second, third] = worker.runner.given as [TaskDescription, TaskDescription, TaskDescription];
    expect(first.commons).toEqual([]);
    expect(Buffer.from(first.payload)).toEqual(whole(1));
    expect(second.payload.length).toBeLessThan(100);
    expect([second.commons.length, third.commons]).toEqual([1, second.commons]);
    const [base] = worker.runner.blobs as [Uint8Array];
    expect(Buffer.from(base)).toEqual(whole(1));
    expect(Buffer.from(restore(base, second.payload))).toEqual(whole(2));
    expect(Buffer.from(restore(base, third.payload))).toEqual(whole(3));
  });

  test('what cannot be delivered is said at once: an executor nobody knows, a runner that refuses, a worker that is lost', async () => {
    const { addWorker, agent } = await cluster();
    const worker = await addWorker('w1');
    const driver = await agent();
    driver.send(attach('900001', 'w1'));
    driver.send(tasks([1, '999999']));
    expect(await fallen(driver)).toEqual([1]);
    driver.send(tasks([2, '900001'], [3, '900001']));
    await until(() => worker.runner.given.length === 2, 'the tasks did not arrive');
    worker.runner.fail(2);
    expect(await fallen(driver)).toEqual([2]);
    await worker.close();
    expect(await fallen(driver)).toEqual([3]);
  });

  test("an executor whose process has ended is told at once, and once; what was captured for it is Spark's to resubmit", async () => {
    const { addWorker, agent, service } = await cluster();
    const worker = await addWorker('w1');
    const driver = await agent();
    driver.send(attach('900001', 'w1'));
    driver.send(tasks([1, '900001'], [2, '900001']));
    await until(() => worker.runner.given.length === 2, 'the tasks did not arrive');
    for (const taskId of [1, 2]) worker.runner.fail(taskId, sparkErrors.EXECUTOR_ENDED({ executor: '900001', name: `task ${taskId}` }));
    const lost = await driver.next(FRAME.lost);
    expect([lost.string(), lost.string()]).toEqual(['900001', 'its process has ended']);
    await until(() => service.applications()[0]?.figures.live === 0, 'they are still awaited');
    // Another of its tasks falls back: frames keep their order, so all that came before it is known.
    driver.send(tasks([3, '900001']));
    expect(await fallen(driver)).toEqual([3]);
    expect(driver.heard.filter(({ type }) => type === FRAME.lost || type === FRAME.fallback)).toEqual([]);
    expect(service.applications()[0]?.executors).toEqual([]);
  });

  test('a draining worker is offered nothing more, and what it has not begun goes the other way', async () => {
    const { addWorker, agent } = await cluster();
    const worker = await addWorker('w1');
    const driver = await agent();
    driver.send(attach('900001', 'w1'));
    driver.send(tasks([1, '900001']));
    await until(() => worker.runner.given.length === 1, 'the task did not arrive');
    driver.send(event('started', 1, 10));
    const drained = worker.drain();
    const offer = await driver.next(FRAME.offer);
    expect([offer.string(), offer.u8()]).toEqual(['900001', 0]);
    worker.runner.finish(1);
    await drained;
  });

  test('tasks wait while their worker is full, and are sent the other way when it only hangs', async () => {
    const { addWorker, agent } = await cluster({ deliverMs: 300 });
    const worker = await addWorker('w1');
    const driver = await agent();
    driver.send(attach('900001', 'w1'));
    driver.send(tasks([1, '900001'], [2, '900001'], [3, '900001']));
    await until(() => worker.runner.given.length === 2, 'the tasks did not arrive');
    driver.send(event('started', 1, 10));
    // One of two cores is known to work: task 2 hangs on its way.
    expect(await fallen(driver)).toEqual([2]);
  });

  test('tasks of a short stage are wanted ahead; one that waits for long is taken back, and no more are wanted', async () => {
    const { addWorker, agent } = await cluster();
    const worker = await addWorker('w1');
    const driver = await agent();
    driver.send(attach('900001', 'w1'));
    driver.send(tasks([1, '900001'], [2, '900001'], [3, '900001'], [4, '900001']));
    const ended = (taskId: number): FrameWriter => event('taskEnd', taskId, 0, 0, taskId, 0, '900001', 'h', 'SUCCESS', 3, 1, 99, 'Success');
    for (const taskId of [1, 2, 3, 4]) driver.send(ended(taskId));
    const ahead = await driver.next(FRAME.ahead);
    expect([ahead.i32(), ahead.i32()]).toEqual([0, MAX_AHEAD]);
    // More than the worker has credit for.
    driver.send(tasks(...Array.from({ length: 12 }, (_, i) => [5 + i, '900001'] as const)));
    for (let taskId = 1; taskId < 16; taskId++) {
      driver.send(event('started', taskId, 10));
      await until(() => worker.runner.given.length >= taskId, 'the tasks did not arrive');
      worker.runner.finish(taskId);
    }
    const kill = await driver.next(FRAME.killTask);
    expect([kill.u64(), kill.u8(), kill.string()]).toEqual([16, 1, 'it waits behind a long task']);
    const none = await driver.next(FRAME.ahead);
    expect([none.i32(), none.i32()]).toEqual([0, 0]);
    expect(driver.heard.filter(({ type }) => type === FRAME.killTask)).toEqual([]);
  });

  test('a round of offers is answered by the selector', async () => {
    const second: HostSelector = { name: 'SECOND', select: (_task, hosts) => hosts.find((host) => host.id === 'w2') };
    const { addWorker, agent, service } = await cluster({}, second);
    await addWorker('w1');
    await addWorker('w2');
    const driver = await agent();
    driver.send(attach('900001', 'w1'));
    driver.send(attach('900002', 'w2'));
    const round = new FrameWriter(FRAME.choose).u32(2).string('900001').u32(2).string('900002').u32(1);
    for (const taskId of [1, 2]) round.u64(taskId).u32(0).u32(0).u32(1).u32(0).u32(0).string('ANY').string(`task ${taskId}.0 in stage 0.0`);
    driver.send(round);
    const answer = await driver.next(FRAME.choice);
    expect([answer.i32(), answer.i32(), answer.more]).toEqual([1, 0, false]);
    expect(service.applications()[0]?.figures.moved).toBe(1);
  });

  test('a context goes on when the executors of all fitting workers are attached, and at once where nobody could start one', async () => {
    const { addWorker, agent } = await cluster();
    await (await agent()).next(FRAME.go);
    await addWorker('w1');
    await addWorker('w3', '3.5.9/2.12');
    const driver = await agent({ hello: { ...DRIVER, runId: 'run-2', 'spark.app.id': 'app-2' } });
    expect(driver.heard).toEqual([]);
    driver.send(attach('900001', 'w1'));
    await driver.next(FRAME.go);
  });

  test('a driver that comes back keeps its application; one that has ended leaves', async () => {
    const { addWorker, agent, service, registry } = await cluster();
    const worker = await addWorker('w1');
    const seen: RegistryEvent[] = [];
    ends.push(await registry.watch('application', (one) => seen.push(one)));
    const driver = await agent();
    driver.send(attach('900001', 'w1'));
    driver.send(tasks([1, '900001']));
    await until(() => worker.runner.given.length === 1, 'the task did not arrive');
    driver.close();
    await until(() => service.applications()[0]?.linked === false, 'the link is still there');
    const again = await agent();
    expect(again.welcome.get('application')).toBe('app-1');
    expect(service.applications()).toHaveLength(1);
    again.send(event('jobStart', 0, 1, '0'));
    again.send(event('applicationEnd', 2));
    again.close();
    await until(() => seen.some((one) => one.type === 'left'), 'it did not leave');
    expect(seen.filter((one) => one.type === 'joined')).toHaveLength(1);
    expect(service.applications()[0]).toMatchObject({ linked: false, figures: { captured: 1 } });
  });

  test('applications are stopped, their tasks killed and their mode changed from outside', async () => {
    const { agent, service } = await cluster();
    const driver = await agent();
    expect(service.stop('nobody', 'x')).toBe(false);
    expect(service.stop('run-1', 'enough')).toBe(true);
    expect((await driver.next(FRAME.stop)).string()).toBe('enough');
    expect(service.killTask('app-1', 4, 'slow')).toBe(true);
    const kill = await driver.next(FRAME.killTask);
    expect([kill.u64(), kill.u8(), kill.string()]).toEqual([4, 1, 'slow']);
    service.setMode('internal');
    expect((await driver.next(FRAME.mode)).u8()).toBe(0);
    expect(service.applications()[0]?.mode).toBe('internal');
    const later = await agent({ hello: { ...DRIVER, runId: 'run-2' } });
    expect(later.welcome.get('application')).toBe('app-1.run-2');
    expect((await later.next(FRAME.mode)).u8()).toBe(0);
  });

  test('listener events arrive typed', async () => {
    const { agent, events } = await cluster();
    const driver = await agent();
    driver.send(event('jobStart', 3, 17, '1,2'));
    driver.send(event('taskEnd', 9, 1, 0, 4, 0, '0', 'h', 'SUCCESS', 12, 10, 99, 'Success'));
    await until(() => events.length === 2, 'the events did not arrive');
    expect(events[0]).toEqual({ type: 'jobStart', jobId: 3, time: 17, stageIds: [1, 2] });
    expect(events[1]).toMatchObject({ type: 'taskEnd', executorId: '0', durationMs: 12 });
  });
});

describe('who may speak', () => {
  const ring = parseKeyRing(newKeyLine('one'), 'the test');
  const key = ring.current.key('link');
  const other = parseKeyRing(newKeyLine('two'), 'the test').current.key('link');

  test('with a key, an agent without it or with another is refused, and one that has it works', async () => {
    const { agent, service } = await cluster({ keys: () => [other, key] });
    await expect(agent()).rejects.toThrow(/closed/);
    await expect(agent({ key: parseKeyRing(newKeyLine('one'), 'the test').current.key('link') })).rejects.toThrow(/closed/);
    const driver = await agent({ key });
    driver.send(event('jobStart', 1, 1, ''));
    await until(() => service.applications()[0]?.activeJobs === 1, 'the event did not arrive');
  });

  test("Spark's secret reaches workers sealed, and never comes in the clear", async () => {
    const { agent, registry } = await cluster({ keys: () => [key], seal: (secret, application) => sealForWorkers(secret, application, ring) });
    const seen: RegistryEvent[] = [];
    ends.push(await registry.watch('application', (one) => seen.push(one)));
    await agent({ key, hello: { ...DRIVER, authenticated: 'true', authSecret: 'hush' } });
    await until(() => seen.length > 0, 'the application was not announced');
    const joined = seen[0] as RegistryEvent & { type: 'joined' };
    expect(JSON.stringify(joined.entry)).not.toContain('hush');
    const ask = readSparkLabels(joined.entry);
    expect(ask).toMatchObject({ sparkId: 'app-1', authenticated: true });
    expect(openForWorker(ask?.sealedSecret ?? '', 'app-1', ring)).toBe('hush');
    expect(() => openForWorker(ask?.sealedSecret ?? '', 'app-2', ring)).toThrow(/secret cannot reach/);
    // Without a key on the link everyone may have read it: it is not used.
    const open = await cluster({ seal: (secret, application) => sealForWorkers(secret, application, ring) });
    ends.push(await open.registry.watch('application', (one) => seen.push(one)));
    await open.agent({ hello: { ...DRIVER, authenticated: 'true', authSecret: 'in the clear' } });
    await until(() => seen.length > 1, 'the application was not announced');
    expect(readSparkLabels((seen[1] as typeof joined).entry)).toMatchObject({ sealedSecret: '', authenticated: true });
  });

  test('what is no driver, and what is no frame, is refused', async () => {
    const { agent, service } = await cluster();
    await expect(agent({ hello: { role: 'executor' } })).rejects.toThrow(/no driver/);
    const driver = await agent();
    driver.send(new FrameWriter(FRAME.tasks).u32(1_000_000));
    await driver.closed;
    await until(() => service.applications()[0]?.linked === false, 'it is still linked');
  });
});
