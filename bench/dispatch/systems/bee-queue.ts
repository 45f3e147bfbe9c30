import { perTick, type System } from './contract.ts';
import { hostAndPort, payload, peer, result } from './peer.ts';

interface BeeQueue {
  ready(): Promise<unknown>;
  createJob(data: unknown): unknown;
  saveAll(jobs: readonly unknown[]): Promise<unknown>;
  on(event: 'job succeeded', listener: () => void): void;
  process(concurrency: number, run: () => Promise<string>): void;
  close(): Promise<void>;
}
type BeeQueueClass = new (name: string, options: object) => BeeQueue;

const common = { removeOnSuccess: true, removeOnFailure: true, storeJobs: false, activateDelayedJobs: false };

/** Jobs saved in bulk, their results by its events. */
export const beeQueue: System = {
  async client(spec, onDone, startWorker) {
    const Queue = peer<BeeQueueClass>('bee-queue');
    const queue = new Queue(spec.key, { redis: hostAndPort(spec.address), isWorker: false, ...common });
    queue.on('job succeeded', () => onDone(1));
    await queue.ready();
    await startWorker(spec);
    const submit = perTick((tasks) => void queue.saveAll(Array.from({ length: tasks }, () => queue.createJob(payload))));
    return { submit, close: () => queue.close() };
  },
  async worker({ key, address, concurrency = 1 }) {
    const Queue = peer<BeeQueueClass>('bee-queue');
    const queue = new Queue(key, { redis: hostAndPort(address), getEvents: false, ...common });
    queue.process(concurrency, async () => result);
    await queue.ready();
  },
};
