/**
 * CPU the dispatcher's process spends per task over the memory transport: 1 KiB tasks of one stage, 64 B results,
 * closed loop, 4 workers. The workers are stubs in the same process that decode tasks and encode answers, so the figure
 * includes their half of the codec. Run: `node bench/dispatch/dispatcher.ts`
 */
import { pathToFileURL } from 'node:url';
import { contentHash } from '../../src/core/ids.ts';
import { createDispatcher } from '../../src/dispatcher/service.ts';
import type { Submission } from '../../src/dispatcher/contract.ts';
import { envelopeFactory } from '../../src/protocol/batch.ts';
import { decodeTasks, encodeStatus, MESSAGE } from '../../src/protocol/messages.ts';
import { createRegisterCenter } from '../../src/registry/index.ts';
import { createSelector } from '../../src/selectors/index.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { DispatcherState } from '../../src/dispatcher/state.ts';

export interface Measurement {
  readonly tasks: number;
  readonly tasksPerSecond: number;
  /** User and system time of the process per task, microseconds; stub workers included. */
  readonly cpuUsPerTask: number;
  /** Of that, the state machine alone (submit, RUNNING, FINISHED), microseconds. */
  readonly stateUsPerTask: number;
}

const WORKERS = 4;
const SLOTS = 64;

function submissions(count: number, commons: readonly string[]): Submission[] {
  const payload = new Uint8Array(1024);
  return Array.from({ length: count }, (_, taskId) => ({
    application: 'bench',
    task: {
      ...{
        taskId,
        attemptNumber: 0,
        executorId: 'external',
        name: `task ${taskId}.0 in stage 0.0 (TID ${taskId})`,
        index: taskId,
        stageId: 0,
        stageAttemptNumber: 0,
      },
      kind: 'js',
      commons,
      payload,
      preferredLocations: [],
      timeoutMs: 0,
    },
  }));
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function roundTrips(count: number): Promise<{ us: number; cpu: number }> {
  const url = `memory:bench-${process.hrtime.bigint()}`;
  const transport = await connectTransport(url);
  const registry = createRegisterCenter(transport);
  const stage = Buffer.from('stage');
  const hash = contentHash(stage);
  let left = count;
  let done: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (done = resolve));
  let joined: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => (joined = resolve));
  const dispatcher = await createDispatcher({
    transport,
    registry,
    selector: createSelector('RANDOM'),
    listener: {
      statusUpdate: () => {
        if (--left === 0) done();
      },
      handBack: () => {
        throw new Error('handed back');
      },
      workerLost: () => undefined,
      capacityChanged: () => {
        if (dispatcher.capacity().workers === WORKERS) joined();
      },
    },
  });
  const data = new Uint8Array(64);
  for (let i = 0; i < WORKERS; i++) {
    const id = `w${i}`;
    const envelope = envelopeFactory(id);
    await transport.consume(`worker.${id}`, { prefetch: 1024 }, (delivery) => {
      delivery.ack();
      if (delivery.envelope.type !== MESSAGE.tasks) return;
      const answers = decodeTasks(delivery.envelope.body).map(({ application, epoch, task }) => ({
        application,
        epoch,
        update: { taskId: task.taskId, state: 'FINISHED' as const, executorId: id, data },
      }));
      void transport.send(delivery.envelope.replyTo, envelope(MESSAGE.status, encodeStatus(answers)));
    });
    await registry.announce({ kind: 'worker', id, host: 'bench', pid: 1, version: '', slots: SLOTS, kinds: ['js'], labels: {}, queue: `worker.${id}` });
  }
  await ready;
  dispatcher.putBlob({ hash, bytes: stage });
  const work = submissions(count, [hash]);
  const cpu = cpuUs();
  const started = performance.now();
  dispatcher.submit(work);
  await finished;
  const us = (performance.now() - started) * 1000;
  const spent = cpuUs() - cpu;
  await dispatcher.close();
  await registry.close();
  await transport.close();
  return { us, cpu: spent };
}

function stateAlone(count: number): number {
  const state = new DispatcherState({ selector: createSelector('RANDOM') });
  for (let i = 0; i < WORKERS; i++) {
    const worker = { kind: 'worker', id: `w${i}`, host: 'bench', pid: 1, version: '', slots: SLOTS, kinds: ['js'], labels: {}, queue: '' } as const;
    state.handle({ type: 'workerJoined', now: 0, worker, load: { running: 0, queued: 0, draining: false } });
  }
  const work = submissions(count, []);
  const data = new Uint8Array(64);
  const cpu = cpuUs();
  let effects = state.handle({ type: 'submit', now: 0, submissions: work });
  for (let open = count; open > 0;) {
    const sends = effects.filter((effect) => effect.type === 'send');
    effects = [];
    for (const { workerId, tasks } of sends) {
      for (const { epoch, task } of tasks) {
        for (const what of ['RUNNING', 'FINISHED'] as const) {
          const update = { taskId: task.taskId, state: what, executorId: workerId, data };
          const statuses = [{ application: 'bench', epoch, update }];
          for (const effect of state.handle({ type: 'status', now: 0, workerId, statuses })) effects.push(effect);
        }
        open--;
      }
    }
  }
  return (cpuUs() - cpu) / count;
}

/** Medians of three rounds after one to warm up. */
export async function measure(tasks = 100_000): Promise<Measurement> {
  await roundTrips(20_000);
  stateAlone(20_000);
  const rounds: { us: number; cpu: number; state: number }[] = [];
  for (let i = 0; i < 3; i++) rounds.push({ ...(await roundTrips(tasks)), state: stateAlone(tasks) });
  const median = (values: number[]): number => values.sort((a, b) => a - b)[1] as number;
  return {
    tasks,
    tasksPerSecond: Math.round(tasks / (median(rounds.map((round) => round.us)) / 1e6)),
    cpuUsPerTask: Number((median(rounds.map((round) => round.cpu)) / tasks).toFixed(2)),
    stateUsPerTask: Number(median(rounds.map((round) => round.state)).toFixed(2)),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) console.log(await measure());
