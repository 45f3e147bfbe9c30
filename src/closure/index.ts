export { captureEditor } from './capture-editor.ts';
export { SERIALIZE } from './contract.ts';
export type { ByReviver, DeserializeGraph, Revivers, SerializeGraph, SerializedGraph } from './contract.ts';
export { deserializeGraph, installForExecutor } from './deserialize.ts';
export { withEnvironment } from './environment.ts';
export { serializeGraph } from './serialize.ts';
export type { SerializeOptions } from './serialize.ts';
export type { DecodeLimits } from './wire.ts';
