import { perTick, type System } from './contract.ts';
import { hostAndPort, payload, peer, result } from './peer.ts';

interface Options {
  readonly connection: { readonly host: string; readonly port: number };
  readonly concurrency?: number;
}
interface BullMq {
  readonly Queue: new (name: string, options: Options) => { addBulk(jobs: readonly unknown[]): Promise<unknown>; close(): Promise<void> };
  readonly QueueEvents: new (name: string, options: Options) => { waitUntilReady(): Promise<unknown>; on(event: 'completed', listener: () => void): void };
  readonly Worker: new (name: string, run: () => Promise<string>, options: Options) => { waitUntilReady(): Promise<unknown> };
}

/** Jobs added in bulk, their results by queue events. */
export const bullmq: System = {
  async client(spec, onDone, startWorker) {
    const { Queue, QueueEvents } = peer<BullMq>('bullmq');
    const connection = hostAndPort(spec.address);
    const queue = new Queue(spec.key, { connection });
    const events = new QueueEvents(spec.key, { connection });
    events.on('completed', () => onDone(1));
    await events.waitUntilReady();
    await startWorker(spec);
    const job = { name: 'job', data: payload, opts: { removeOnComplete: true, removeOnFail: true } };
    const submit = perTick((tasks) => void queue.addBulk(Array.from({ length: tasks }, () => job)));
    return { submit, close: () => queue.close() };
  },
  async worker({ key, address, concurrency = 1 }) {
    const { Worker } = peer<BullMq>('bullmq');
    await new Worker(key, async () => result, { connection: hostAndPort(address), concurrency }).waitUntilReady();
  },
};
