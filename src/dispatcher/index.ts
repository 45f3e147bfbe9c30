export type * from './contract.ts';
export { createDispatcher, type DispatcherOptions } from './service.ts';
export { DispatcherState } from './state.ts';
