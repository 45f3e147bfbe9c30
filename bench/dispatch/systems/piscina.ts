import { fileURLToPath } from 'node:url';
import type { System } from './contract.ts';
import { payload, peer } from './peer.ts';

interface Piscina {
  run(task: unknown): Promise<unknown>;
  destroy(): Promise<void>;
}
interface Module {
  readonly Piscina: new (options: object) => Piscina;
}

/** A pool of one thread that is given many tasks at a time. */
export const piscina: System = {
  async client({ concurrency = 1 }, onDone) {
    const { Piscina } = peer<Module>('piscina');
    const filename = fileURLToPath(new URL('./piscina-task.ts', import.meta.url));
    const pool = new Piscina({ filename, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: concurrency });
    return {
      submit(tasks) {
        for (let i = 0; i < tasks; i++) void pool.run(payload).then(() => onDone(1));
      },
      close: () => pool.destroy(),
    };
  },
  // Its thread is its worker.
  worker: async () => undefined,
};
