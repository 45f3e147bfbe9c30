export type * from './contract.ts';
export { createWorkerHost, type WorkerHost, type WorkerHostOptions } from './host.ts';
