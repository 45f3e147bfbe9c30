/** What is measured: tasks of 1 KiB from one client process to one worker process, answers of 64 B back. */
export const PAYLOAD_BYTES = 1024;
export const RESULT_BYTES = 64;
/** Closed loop: so many tasks are under way. */
export const IN_FLIGHT = 512;

export interface Spec {
  readonly system: SystemName;
  /** URL of the server both talk through; of the hub, once that is known; empty where there is none. */
  readonly address: string;
  /** Tasks in a frame, where the client of the system decides that. */
  readonly frame: number;
  /** Unique in a run: names queues. */
  readonly key: string;
  readonly signed?: boolean;
  readonly queueType?: 'quorum' | 'classic';
  /** Tasks a worker of the peer runs at a time. */
  readonly concurrency?: number;
}

export interface Client {
  /** Sends so many tasks as one frame, or as the system does it. */
  submit(tasks: number): void;
  close(): Promise<void>;
}

/** Both ends of a system. `worker` runs in a process of its own, started by `startWorker`, unless the system has another place. */
export interface System {
  client(spec: Spec, onDone: (tasks: number) => void, startWorker: (spec: Spec) => Promise<void>): Promise<Client>;
  worker(spec: Spec): Promise<void>;
}

/** Loaded by name, so that a process has the code of one system only. */
export const SYSTEMS = {
  transport: async (): Promise<System> => (await import('./transport.ts')).transport,
  dispatcher: async (): Promise<System> => (await import('./dispatcher.ts')).dispatcher,
  'raw-tcp': async (): Promise<System> => (await import('./raw-tcp.ts')).rawTcp,
  'raw-threads': async (): Promise<System> => (await import('./raw-threads.ts')).rawThreads,
  'runner-threads': async (): Promise<System> => (await import('./runner-threads.ts')).runnerThreads,
  'raw-redis': async (): Promise<System> => (await import('./raw-redis.ts')).rawRedis,
  'raw-rabbitmq': async (): Promise<System> => (await import('./raw-rabbitmq.ts')).rawRabbitmq,
  bullmq: async (): Promise<System> => (await import('./bullmq.ts')).bullmq,
  'bee-queue': async (): Promise<System> => (await import('./bee-queue.ts')).beeQueue,
  moleculer: async (): Promise<System> => (await import('./moleculer.ts')).moleculer,
  piscina: async (): Promise<System> => (await import('./piscina.ts')).piscina,
} as const;

export type SystemName = keyof typeof SYSTEMS;

/** Calls of one turn of the event loop as one: what is handed over in a batch by systems that can. */
export function perTick(flush: (tasks: number) => void): (tasks: number) => void {
  let waiting = 0;
  return (tasks) => {
    if (waiting === 0)
      setImmediate(() => {
        const all = waiting;
        waiting = 0;
        flush(all);
      });
    waiting += tasks;
  };
}
