/** The head of a stage binary: what must be known before its functions are rebuilt. */
import { packValue, unpackValue } from '../protocol/columns.ts';
import { TASK_ERRORS } from './errors.ts';

export interface StageHeader {
  readonly application: string;
  /** Hash of the blob with the modules that its functions import; see closure/modules.ts. */
  readonly modules: string | undefined;
}

export function withHeader({ application, modules = '' }: StageHeader, graph: Uint8Array): Uint8Array {
  const header = packValue([application, modules]);
  const bytes = new Uint8Array(4 + header.byteLength + graph.byteLength);
  new DataView(bytes.buffer).setUint32(0, header.byteLength);
  bytes.set(header, 4);
  bytes.set(graph, 4 + header.byteLength);
  return bytes;
}

/** @throws SP_TASK_BAD_STAGE */
export function readHeader(bytes: Uint8Array): { readonly header: StageHeader; readonly graph: Uint8Array } {
  try {
    const end = 4 + new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
    const [application, modules] = unpackValue(bytes.subarray(4, end)) as [unknown, unknown];
    if (typeof application !== 'string' || typeof modules !== 'string') throw new TypeError('its header is malformed');
    return { header: { application, modules: modules === '' ? undefined : modules }, graph: bytes.subarray(end) };
  } catch (cause) {
    throw TASK_ERRORS.BAD_STAGE({ reason: (cause as Error).message }, cause);
  }
}
