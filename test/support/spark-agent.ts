/** The agent's side of the link in TypeScript: what the Java agent says and hears, frame by frame. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { FRAME, FrameReader, FrameSigner, FrameWriter, type LinkKey, MAC_BYTES, NONCE_BYTES, sealSecret } from '../../src/apache-spark/frames.ts';

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
  readonly secret?: string;
}

export const DRIVER: Readonly<Record<string, string>> = {
  role: 'driver',
  runId: 'run-1',
  applicationId: 'app-1',
  name: 'test',
  driverUrl: 'spark://CoarseGrainedScheduler@127.0.0.1:1',
  sparkVersion: '4.0.1',
  scalaVersion: '2.13.16',
  host: 'here',
  pid: '1',
  mode: 'external',
  authenticated: 'false',
};

/** Rejects with what the other side says when it refuses. */
export function connectAgent(address: string, { hello, key, secret }: AgentHello): Promise<TestAgent> {
  const [host, port] = address.split(':');
  const socket: Socket = connect(Number(port), host);
  socket.setNoDelay(true);
  let buffer = Buffer.alloc(0);
  let outgoing: FrameSigner | undefined;
  let incoming: FrameSigner | undefined;
  let welcome: ReadonlyMap<string, string> | undefined;
  const heard: Heard[] = [];
  const waiting = new Set<() => void>();
  const send = (frame: FrameWriter): void => {
    const body = frame.finish();
    const mac = outgoing?.sign(body) ?? Buffer.alloc(0);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length + mac.length);
    socket.write(Buffer.concat([length, body, mac]));
  };
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('the link was closed')));
    const frame = (raw: Buffer): void => {
      let body = raw;
      if (incoming !== undefined) {
        body = raw.subarray(0, raw.length - MAC_BYTES);
        if (!incoming.verifies(body, raw.subarray(body.length))) throw new Error('a frame is not signed with our key');
      }
      const type = body[0] as number;
      const reader = new FrameReader(body, 1);
      if (type === FRAME.challenge) {
        reader.raw(5);
        const keyed = reader.u8() !== 0;
        const theirs = Buffer.from(reader.raw(NONCE_BYTES));
        const ours = randomBytes(NONCE_BYTES);
        const said = { ...hello };
        if (keyed && key !== undefined) {
          outgoing = new FrameSigner(key, theirs, ours, 'c');
          incoming = new FrameSigner(key, theirs, ours, 's');
          if (secret !== undefined) said['sealed.authSecret'] = sealSecret(secret, key, theirs, ours);
        }
        send(new FrameWriter(FRAME.hello).raw(ours).map(said));
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

/** As TaskDescription.encode begins, with something behind. */
export function launch(frame: FrameWriter, taskId: number, executorId: string, stage = 0): FrameWriter {
  const payload = Buffer.alloc(8);
  payload.writeBigInt64BE(BigInt(taskId));
  return frame.u64(taskId).u32(0).u32(taskId).string(executorId).string(`task ${taskId}.0 in stage ${stage}.0 (TID ${taskId})`).u32(0).bytes(payload);
}

export function attach(executorId: string, workerId: string, cores = 2): FrameWriter {
  return new FrameWriter(FRAME.executor).u8(1).string(executorId).string(workerId).string('127.0.0.1').u32(cores).string('');
}

export function event(...words: readonly (string | number)[]): FrameWriter {
  const frame = new FrameWriter(FRAME.event).u32(words.length);
  for (const word of words) frame.string(String(word));
  return frame;
}
