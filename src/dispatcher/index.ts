export type * from './contract.ts';
export type * from './local.ts';
export { connectDispatcher, type RemoteDispatcherOptions } from './remote.ts';
export { startDispatcherServer, type DispatcherServer, type DispatcherServerOptions } from './server.ts';
export { createDispatcher, type DispatcherOptions } from './service.ts';
export { DispatcherState } from './state.ts';
