import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { keepCodeWarm, keepingCodeWarm } from '../../src/core/warm-code.ts';
import { median } from '../support/row.ts';

const echo = new URL('./echo.ts', import.meta.url);

/** What there is without any scheduler: an echo from threads, over tcp, and from threads of processes over tcp. */
export interface Floor {
  /** Messages a second to two threads and back, `depth` under way to each. */
  threads(ms: number, depth: number): Promise<number>;
  /** Messages a second over tcp to two processes, to a thread of theirs and all the way back, `depth` under way to each; those that come together go on together. */
  path(ms: number, depth: number): Promise<number>;
  /** Median milliseconds of one message to a thread and back. */
  threadRoundTrip(ms: number): Promise<number>;
  /** Median milliseconds of one message to a process over tcp and back. */
  tcpRoundTrip(ms: number): Promise<number>;
  close(): Promise<void>;
}

/** What no-op tasks have to say: little. */
const MESSAGE = { task: 1, attempt: 0 };

async function roundTrips(ms: number, once: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  const start = performance.now();
  for (let now = start; now - start < ms;) {
    await once();
    const end = performance.now();
    times.push(end - now);
    now = end;
  }
  return median(times);
}

/** Bytes of a message over tcp: about what a no-op task of a stage takes. */
const MESSAGE_BYTES = 32;

interface Ends {
  readonly peers: readonly ChildProcess[];
  readonly sockets: readonly Socket[];
}

/** Processes that echo, and the sockets to them. */
async function connectPeers(server: Server, count: number, ...how: string[]): Promise<Ends> {
  const sockets: Socket[] = [];
  const peers: ChildProcess[] = [];
  for (let i = 0; i < count; i++) {
    peers.push(fork(echo, [String((server.address() as AddressInfo).port), ...how], { execArgv: [...keepingCodeWarm()] }));
    const [socket] = (await once(server, 'connection')) as [Socket];
    // Its end tells.
    socket.on('error', () => undefined);
    sockets.push(socket);
  }
  return { peers, sockets };
}

async function pathRate({ sockets }: Ends, ms: number, depth: number): Promise<number> {
  let done = 0;
  let stopping = false;
  const start = performance.now();
  const ends = sockets.map(
    (socket) =>
      new Promise<void>((resolve, reject) => {
        const lost = (): void => reject(new Error('an echo has ended early'));
        let underWay = depth;
        let carried = 0;
        const hear = (chunk: Buffer): void => {
          carried += chunk.length;
          const whole = Math.floor(carried / MESSAGE_BYTES);
          carried -= whole * MESSAGE_BYTES;
          done += whole;
          if (!stopping) socket.write(Buffer.alloc(whole * MESSAGE_BYTES));
          else if ((underWay -= whole) === 0) {
            socket.off('data', hear).off('close', lost);
            resolve();
          }
        };
        socket.on('data', hear).once('close', lost);
        for (let i = 0; i < depth; i++) socket.write(Buffer.alloc(MESSAGE_BYTES));
      }),
  );
  setTimeout(() => (stopping = true), ms);
  await Promise.all(ends);
  return (done / (performance.now() - start)) * 1000;
}

export async function openFloor(): Promise<Floor> {
  // As the programs it is compared with.
  keepCodeWarm();
  const workers = [new Worker(echo), new Worker(echo)] as const;
  const server = createServer({ noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const alone = await connectPeers(server, 1);
  const withThreads = await connectPeers(server, 2, 'thread');
  const socket = alone.sockets[0] as Socket;
  let onData: () => void = () => undefined;
  socket.on('data', () => onData());
  const tcpOnce = (): Promise<void> =>
    new Promise((resolve) => {
      onData = resolve;
      socket.write('x');
    });
  const threadOnce = (): Promise<void> =>
    new Promise((resolve) => {
      workers[0].once('message', () => resolve());
      workers[0].postMessage(MESSAGE);
    });
  const floor: Floor = {
    async threads(ms, depth) {
      let done = 0;
      let underWay = 0;
      let stopping = false;
      let finish: () => void = () => undefined;
      const finished = new Promise<void>((resolve) => (finish = resolve));
      const listeners = workers.map((worker) => {
        const hear = (): void => {
          done++;
          if (!stopping) worker.postMessage(MESSAGE);
          else if (--underWay === 0) finish();
        };
        worker.on('message', hear);
        return (): unknown => worker.off('message', hear);
      });
      const start = performance.now();
      for (const worker of workers) {
        for (let i = 0; i < depth; i++) {
          underWay++;
          worker.postMessage(MESSAGE);
        }
      }
      setTimeout(() => (stopping = true), ms);
      await finished;
      const rate = (done / (performance.now() - start)) * 1000;
      for (const off of listeners) off();
      return rate;
    },
    path: (ms, depth) => pathRate(withThreads, ms, depth),
    threadRoundTrip: (ms) => roundTrips(ms, threadOnce),
    tcpRoundTrip: (ms) => roundTrips(ms, tcpOnce),
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
      for (const { peers, sockets } of [alone, withThreads]) {
        const exited = peers.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null).map((peer) => once(peer, 'exit'));
        for (const each of sockets) each.destroy();
        await Promise.all(exited);
      }
      server.close();
    },
  };
  // Warm, so that the first round is as good as the others.
  await floor.threads(200, 16);
  await floor.path(200, 16);
  await floor.threadRoundTrip(200);
  await floor.tcpRoundTrip(200);
  return floor;
}
