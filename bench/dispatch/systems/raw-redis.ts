import { Redis } from 'ioredis';
import { PAYLOAD_BYTES, RESULT_BYTES, type System } from './contract.ts';

type Entries = [Buffer, [Buffer, [Buffer, Buffer]][]][] | null;

const open = (address: string, batched: boolean): Redis => new Redis(address, { enableAutoPipelining: batched, maxRetriesPerRequest: null });
const read = (redis: Redis, ...args: (string | number)[]): Promise<Entries> => (redis.callBuffer as (...all: unknown[]) => Promise<Entries>)(...args);

/** Reads a stream through a consumer group, as fast as entries come; acknowledges and deletes what `handle` has dealt with. */
async function readGroup(address: string, stream: string, handle: (frame: Buffer) => void, write: Redis): Promise<void> {
  const redis = open(address, false);
  await redis.xgroup('CREATE', stream, 'g', '0', 'MKSTREAM').catch(() => undefined);
  const loop = async (): Promise<void> => {
    for (;;) {
      const streams = await read(redis, 'xreadgroup', 'GROUP', 'g', 'c', 'COUNT', 64, 'BLOCK', 5000, 'STREAMS', stream, '>');
      for (const [id, [, frame]] of streams?.[0]?.[1] ?? []) {
        handle(frame);
        void write.xack(stream, 'g', id);
        void write.xdel(stream, id);
      }
    }
  };
  void loop().catch(() => undefined);
}

/** The bare client on Redis streams: consumer groups, entries of as many tasks as a frame, commands of a tick in one pipeline. */
export const rawRedis: System = {
  async client(spec, onDone, startWorker) {
    const write = open(spec.address, true);
    await readGroup(spec.address, `${spec.key}:results`, (frame) => onDone(frame.length / RESULT_BYTES), write);
    await startWorker(spec);
    return {
      submit: (tasks) => void write.xadd(`${spec.key}:tasks`, '*', 'f', Buffer.alloc(PAYLOAD_BYTES * tasks)),
      close: async () => write.disconnect(),
    };
  },
  async worker({ address, key }) {
    const write = open(address, true);
    const answer = (frame: Buffer): void => void write.xadd(`${key}:results`, '*', 'f', Buffer.alloc((frame.length / PAYLOAD_BYTES) * RESULT_BYTES));
    await readGroup(address, `${key}:tasks`, answer, write);
  },
};
