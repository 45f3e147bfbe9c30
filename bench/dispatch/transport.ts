import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { envelopeFactory } from '../../src/protocol/batch.ts';
import { decodeStatus, encodeTasks } from '../../src/protocol/messages.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { batchedWriter, frameReader } from './raw-frames.ts';

/** Round trips of tasks between two processes, closed loop: the tcp transport with real message bodies against a bare socket. */
export interface MeasureOptions {
  /** Of each subject and round. @defaultValue 1.5 */
  readonly seconds?: number;
  /** Interleaved; the median counts. @defaultValue 3 */
  readonly rounds?: number;
  /** @defaultValue 16 */
  readonly tasksPerFrame?: number;
  /** Tasks. @defaultValue 512 */
  readonly inFlight?: number;
  /** @defaultValue 1024 */
  readonly payloadBytes?: number;
  /** @defaultValue 64 */
  readonly resultBytes?: number;
}

export interface Figures {
  readonly tasksPerSecond: number;
  /** Of both processes. */
  readonly cpuMicrosPerTask: number;
}

export interface Measured {
  readonly transport: Figures;
  /** Frames of as many tasks on a bare socket, opaque bytes. */
  readonly rawFrames: Figures;
  /** One frame a task on a bare socket, batched per turn of the event loop. */
  readonly rawTasks: Figures;
  /** One task in flight at a time, transport and bare socket, median in milliseconds. */
  readonly roundTripMs: { readonly transport: number; readonly raw: number };
}

type Settings = Required<MeasureOptions>;

interface Subject {
  /** Sends one frame of tasks; `onTasks` of `open` hears of their answers. */
  send(): void;
  readonly peer: ChildProcess;
  close(): Promise<void>;
}

const peerFile = new URL('./transport-peer.ts', import.meta.url);

async function startPeer(mode: string, address: string, settings: Settings): Promise<ChildProcess> {
  const peer = fork(peerFile, [mode, address, String(settings.resultBytes)]);
  await once(peer, 'message');
  return peer;
}

async function stopPeer(peer: ChildProcess): Promise<void> {
  const exited = once(peer, 'exit');
  peer.kill();
  await exited;
}

async function openTransport(settings: Settings, tasksPerFrame: number, onTasks: (count: number) => void): Promise<Subject> {
  const hub = await connectTransport('tcp://127.0.0.1:0', { role: 'hub' });
  const peer = await startPeer('transport', hub.url, settings);
  const envelope = envelopeFactory('driver-1');
  const payload = new Uint8Array(settings.payloadBytes);
  let taskId = 0;
  await hub.consume('driver', { prefetch: 64 }, (delivery) => {
    const updates = decodeStatus(delivery.envelope.body);
    delivery.ack();
    onTasks(updates.length);
  });
  const commons = ['a'.repeat(64)];
  return {
    send() {
      const tasks = Array.from({ length: tasksPerFrame }, (_, index) => ({
        application: 'app-1',
        epoch: 1,
        task: {
          taskId: taskId++,
          attemptNumber: 0,
          executorId: 'external',
          name: `task ${index}.0 in stage 1.0 (TID ${taskId})`,
          index,
          stageId: 1,
          stageAttemptNumber: 0,
          kind: 'js',
          commons,
          payload,
          preferredLocations: [],
          timeoutMs: 0,
        },
      }));
      void hub.send('worker', envelope('tasks', encodeTasks(tasks)));
    },
    peer,
    async close() {
      await stopPeer(peer);
      await hub.close();
    },
  };
}

async function openRaw(settings: Settings, tasksPerFrame: number, onTasks: (count: number) => void): Promise<Subject> {
  const server = createServer({ noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const [[socket], peer] = (await Promise.all([once(server, 'connection'), startPeer('raw', String((server.address() as AddressInfo).port), settings)])) as [
    [Socket],
    ChildProcess,
  ];
  const request = Buffer.alloc(settings.payloadBytes * tasksPerFrame);
  request.writeUInt32LE(tasksPerFrame, 0);
  const write = batchedWriter(socket);
  socket.on(
    'data',
    frameReader(() => onTasks(tasksPerFrame)),
  );
  return {
    send: () => write(request),
    peer,
    async close() {
      socket.destroy();
      await stopPeer(peer);
      server.close();
    },
  };
}

type Open = typeof openTransport;

async function cpuOf(peer: ChildProcess): Promise<number> {
  const answer = once(peer, 'message');
  peer.send('cpu');
  const [usage] = (await answer) as [NodeJS.CpuUsage];
  const own = process.cpuUsage();
  return usage.user + usage.system + own.user + own.system;
}

async function throughput(open: Open, settings: Settings, tasksPerFrame: number): Promise<Figures> {
  let done = 0;
  let running = true;
  const subject = await open(settings, tasksPerFrame, (count) => {
    done += count;
    if (running) subject.send();
  });
  for (let i = 0; i < settings.inFlight / tasksPerFrame; i++) subject.send();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const [cpuBefore, doneBefore, start] = [await cpuOf(subject.peer), done, performance.now()];
  await new Promise((resolve) => setTimeout(resolve, settings.seconds * 1000));
  const [cpuAfter, tasks, elapsed] = [await cpuOf(subject.peer), done - doneBefore, performance.now() - start];
  running = false;
  await subject.close();
  return { tasksPerSecond: (tasks / elapsed) * 1000, cpuMicrosPerTask: (cpuAfter - cpuBefore) / tasks };
}

async function roundTrip(open: Open, settings: Settings): Promise<number> {
  let answered: () => void = () => undefined;
  const subject = await open(settings, 1, () => answered());
  const times: number[] = [];
  for (let i = 0; i < 4000; i++) {
    const answer = new Promise<void>((resolve) => (answered = resolve));
    const start = performance.now();
    subject.send();
    await answer;
    if (i >= 1000) times.push(performance.now() - start);
  }
  await subject.close();
  return median(times);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Runs transport and floor in turn, in this and one more process. */
export async function measure(options: MeasureOptions = {}): Promise<Measured> {
  const settings: Settings = { seconds: 1.5, rounds: 3, tasksPerFrame: 16, inFlight: 512, payloadBytes: 1024, resultBytes: 64, ...options };
  const subjects: Record<'transport' | 'rawFrames' | 'rawTasks', { open: Open; tasksPerFrame: number; rounds: Figures[] }> = {
    transport: { open: openTransport, tasksPerFrame: settings.tasksPerFrame, rounds: [] },
    rawFrames: { open: openRaw, tasksPerFrame: settings.tasksPerFrame, rounds: [] },
    rawTasks: { open: openRaw, tasksPerFrame: 1, rounds: [] },
  };
  for (let round = 0; round < settings.rounds; round++) {
    for (const subject of Object.values(subjects)) subject.rounds.push(await throughput(subject.open, settings, subject.tasksPerFrame));
  }
  const figures = (rounds: readonly Figures[]): Figures => ({
    tasksPerSecond: median(rounds.map((each) => each.tasksPerSecond)),
    cpuMicrosPerTask: median(rounds.map((each) => each.cpuMicrosPerTask)),
  });
  return {
    transport: figures(subjects.transport.rounds),
    rawFrames: figures(subjects.rawFrames.rounds),
    rawTasks: figures(subjects.rawTasks.rounds),
    roundTripMs: { transport: await roundTrip(openTransport, settings), raw: await roundTrip(openRaw, settings) },
  };
}

if (process.argv[1] === new URL(import.meta.url).pathname) console.log(await measure());
