export type * from './contract.ts';
export { addEditor, installHook } from './hook.ts';
