/**
 * Tasks of a stage differ in a few numbers of some ten thousand bytes. One of them is the base of the others, each of which
 * then travels as n × (u32 bytes to take over from the base, u32 bytes of it to leave out, u32 length and bytes of its own):
 * copying where both agree, as VCDIFF (RFC 3284) does.
 */
import { contentHash } from '../core/ids.ts';
import type { Blob } from '../protocol/task.ts';
import { sparkErrors } from './errors.ts';
import { FrameReader, MAX_FRAME_BYTES } from './frames.ts';

/** How far the two may be apart, and how many equal bytes make them one again. */
const NEAR = 48;
const SURE = 12;
/** Longest base. */
const MAX_BASE_BYTES = 262_144;
/** Stages whose bases are kept; the oldest goes. */
const MAX_STAGES = 32;

/** What makes a task differ from the base; undefined: they have too little in common. */
export function difference(base: Uint8Array, task: Uint8Array): Buffer | undefined {
  const limit = task.length >> 1;
  const out = Buffer.allocUnsafe(limit);
  let length = 0;
  let from = 0;
  for (let at = 0; at < task.length;) {
    const same = alike(base, from, task, at);
    let leave = base.length - from - same;
    let own = task.length - at - same;
    if (own > 0) [leave, own] = apart(base, from + same, task, at + same) ?? [leave, own];
    if (length + 12 + own > limit) return undefined;
    out.writeUInt32BE(same, length);
    out.writeUInt32BE(leave, length + 4);
    out.writeUInt32BE(own, length + 8);
    out.set(task.subarray(at + same, at + same + own), length + 12);
    length += 12 + own;
    from += same + leave;
    at += same + own;
  }
  return out.subarray(0, length);
}

/** How many bytes are the same from there on. */
function alike(base: Uint8Array, from: number, task: Uint8Array, at: number): number {
  const most = Math.min(base.length - from, task.length - at);
  let same = 0;
  while (same < most && base[from + same] === task[at + same]) same++;
  return same;
}

/** Bytes to leave out of the base and bytes of the task's own until they agree again, as few as may be. */
function apart(base: Uint8Array, from: number, task: Uint8Array, at: number): [leave: number, own: number] | undefined {
  for (let sum = 1; sum <= 2 * NEAR; sum++) {
    for (let leave = Math.max(0, sum - NEAR); leave <= Math.min(sum, NEAR); leave++) {
      if (meets(base, from + leave, task, at + sum - leave)) return [leave, sum - leave];
    }
  }
  return undefined;
}

function meets(base: Uint8Array, from: number, task: Uint8Array, at: number): boolean {
  if (from + SURE > base.length || at + SURE > task.length) return false;
  for (let i = 0; i < SURE; i++) if (base[from + i] !== task[at + i]) return false;
  return true;
}

/** The task, from its base. @throws SP_SPARK_MALFORMED_FRAME for what `difference` has not written */
export function restore(base: Uint8Array, told: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  const reader = new FrameReader(Buffer.from(told.buffer, told.byteOffset, told.length));
  let length = 0;
  for (let from = 0; reader.more;) {
    const same = reader.i32();
    const leave = reader.i32();
    const own = reader.bytes();
    length += same + own.length;
    if (same < 0 || leave < 0 || from + same + leave > base.length || length > MAX_FRAME_BYTES)
      throw sparkErrors.MALFORMED_FRAME({ reason: 'a task differs from its base where that has nothing' });
    parts.push(base.subarray(from, from + same), own);
    from += same + leave;
  }
  return Buffer.concat(parts, length);
}

/** Where bases are kept until workers need them. */
export interface BaseStore {
  putBlob(blob: Blob): void;
  releaseBlob(hash: string): void;
}

interface Base {
  readonly bytes: Uint8Array;
  /** What it is named by, once there is a second task. */
  commons: readonly string[];
}

const NO_COMMONS: readonly string[] = [];

/** The first task of each of the latest stages, by which the others are told. */
export class Differences {
  readonly #store: BaseStore;
  readonly #bases = new Map<string, Base>();

  constructor(store: BaseStore) {
    this.#store = store;
  }

  /** The task as it travels, whole or by its base. */
  of(stage: string, task: Uint8Array): { readonly payload: Uint8Array; readonly commons: readonly string[] } {
    const base = this.#bases.get(stage);
    if (base === undefined) {
      if (task.length <= MAX_BASE_BYTES) this.#keep(stage, task.slice());
      return { payload: task, commons: NO_COMMONS };
    }
    const told = difference(base.bytes, task);
    if (told === undefined) return { payload: task, commons: NO_COMMONS };
    if (base.commons.length === 0) {
      const hash = contentHash(base.bytes);
      base.commons = [hash];
      this.#store.putBlob({ hash, bytes: base.bytes });
    }
    return { payload: told, commons: base.commons };
  }

  #keep(stage: string, bytes: Uint8Array): void {
    this.#bases.set(stage, { bytes, commons: NO_COMMONS });
    if (this.#bases.size <= MAX_STAGES) return;
    const oldest = this.#bases.keys().next().value as string;
    for (const hash of this.#bases.get(oldest)?.commons ?? NO_COMMONS) this.#store.releaseBlob(hash);
    this.#bases.delete(oldest);
  }
}
