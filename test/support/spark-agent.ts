/** The agent's side of the link in TypeScript: what the Java agent says and hears, frame by frame. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { FRAME, FrameReader, FrameSeal, FrameWriter, type LinkKey, NONCE_BYTES } from '../../src/apache-spark/frames.ts';

export interface Heard {
  readonly type: number;
  readonly reader: FrameReader;
}

export interface TestAgent {
  readonly welcome: ReadonlyMap<string, string>;
  send(frame: FrameWriter): void;
  /** The next frame of that type; pings are answered and not shown. */
  next(type: number, timeoutMs?: number): Promise<FrameReader>;
  readonly heard: readonly Heard[];
  readonly closed: Promise<void>;
  close(): void;
}

export interface AgentHello {
  readonly hello: Readonly<Record<string, string>>;
  readonly key?: LinkKey;
}

export const DRIVER: Readonly<Record<string, string>> = {
  role: 'driver',
  runId: 'run-1',
  'spark.app.id': 'app-1',
  'spark.app.name': 'test',
  'spark.driver.host': '127.0.0.1',
  'spark.driver.port': '1',
  sparkVersion: '4.0.1',
  scalaVersion: '2.13.16',
  pid: '1',
  mode: 'external',
  authenticated: 'false',
};

/** Rejects with what the other side says when it refuses. */
export function connectAgent(address: string, { hello, key }: AgentHello): Promise<TestAgent> {
  const [host, port] = address.split(':');
  const socket: Socket = connect(Number(port), host);
  socket.setNoDelay(true);
  let buffer = Buffer.alloc(0);
  let outgoing: FrameSeal | undefined;
  let incoming: FrameSeal | undefined;
  let welcome: ReadonlyMap<string, string> | undefined;
  const heard: Heard[] = [];
  const waiting = new Set<() => void>();
  const send = (frame: FrameWriter): void => {
    const body = outgoing?.seal(frame.finish()) ?? frame.finish();
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    socket.write(Buffer.concat([length, body]));
  };
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('the link was closed')));
    const frame = (raw: Buffer): void => {
      const body = incoming === undefined ? raw : incoming.open(raw);
      if (body === undefined) throw new Error('a frame is not sealed with our key');
      const type = body[0] as number;
      const reader = new FrameReader(body, 1);
      if (type === FRAME.challenge) {
        reader.raw(5);
        const keyed = reader.u8() !== 0;
        const theirs = Buffer.from(reader.raw(NONCE_BYTES));
        const ours = randomBytes(NONCE_BYTES);
        send(new FrameWriter(FRAME.nonce).raw(ours));
        if (keyed && key !== undefined) {
          outgoing = new FrameSeal(key, theirs, ours, 'c');
          incoming = new FrameSeal(key, theirs, ours, 's');
        }
        send(new FrameWriter(FRAME.hello).map(hello));
      } else if (type === FRAME.refused) reject(new Error(reader.string()));
      else if (type === FRAME.ping) send(new FrameWriter(FRAME.pong));
      else if (welcome === undefined) {
        welcome = reader.map();
        resolve({
          welcome,
          send,
          heard,
          closed,
          close: () => socket.destroy(),
          next: (wanted, timeoutMs = 20_000) =>
            new Promise((found, failed) => {
              const timer = setTimeout(() => failed(new Error(`no frame of type ${wanted} came`)), timeoutMs);
              const look = (): void => {
                const at = heard.findIndex((one) => one.type === wanted);
                if (at < 0) return;
                const [one] = heard.splice(at, 1);
                clearTimeout(timer);
                waiting.delete(look);
                found((one as Heard).reader);
              };
              waiting.add(look);
              look();
            }),
        });
      } else {
        heard.push({ type, reader });
        for (const look of [...waiting]) look();
      }
    };
    socket.on('data', (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk]);
      try {
        while (buffer.length >= 4 && buffer.length >= 4 + buffer.readUInt32BE()) {
          const end = 4 + buffer.readUInt32BE();
          frame(buffer.subarray(4, end));
          buffer = buffer.subarray(end);
        }
      } catch (error) {
        socket.destroy();
        reject(error as Error);
      }
    });
  });
}

/** As TaskDescription.encode begins, with something behind that tasks have in common. */
export function launch(frame: FrameWriter, taskId: number, executorId: string, common: Uint8Array = Buffer.alloc(0)): FrameWriter {
  const head = Buffer.alloc(8);
  head.writeBigInt64BE(BigInt(taskId));
  const name = `task ${taskId}.0 in stage 0.0 (TID ${taskId})`;
  return frame
    .u64(taskId)
    .u32(0)
    .u32(taskId)
    .string(executorId)
    .string(name)
    .bytes(Buffer.concat([head, common]));
}

export function attach(executorId: string, workerId: string, cores = 2): FrameWriter {
  return event('attached', executorId, workerId, '127.0.0.1', cores);
}

export function event(...words: readonly (string | number)[]): FrameWriter {
  const frame = new FrameWriter(FRAME.event);
  for (const word of words) frame.string(String(word));
  return frame;
}
