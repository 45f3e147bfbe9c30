import { ContentEnvelope, type Content, type Envelope } from './envelope.ts';
import type { LeasedStatus, LeasedTask } from './messages.ts';
import { StageTask } from './task.ts';

/** How many items and bytes go into one frame. */
export interface BatchLimits {
  /** @defaultValue 64 */
  readonly maxItems: number;
  /** An item larger than this travels alone. @defaultValue 262144 */
  readonly maxBytes: number;
}

export const BATCH_LIMITS: BatchLimits = Object.freeze({ maxItems: 64, maxBytes: 262_144 });

/** Cuts items into frames, in order. An item that is too large for a frame gets one to itself. */
export function splitBatch<T>(items: readonly T[], sizeOf: (item: T) => number, limits: BatchLimits = BATCH_LIMITS): T[][] {
  const batches: T[][] = [];
  let batch: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = sizeOf(item);
    if (batch.length > 0 && (batch.length >= limits.maxItems || bytes + size > limits.maxBytes)) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

/** About how many bytes a task takes in a frame: its own part, what it shares with its neighbours left out. */
export function taskBytes(leased: LeasedTask): number {
  const { task } = leased;
  return task.payload.length + (task instanceof StageTask ? 0 : task.name.length) + 16;
}

/** About how many bytes a status takes in a frame. */
export function statusBytes(leased: LeasedStatus): number {
  return leased.update.data.length + 12;
}

/**
 * Makes the envelopes of one sender. Ids are `<sender>:<n>`: unique because a sender's id is unique per process start,
 * and cheaper than random ones.
 */
export function envelopeFactory(sender: string, replyTo = ''): (type: string, body: Uint8Array | Content) => Envelope {
  let next = 0;
  return (type, body) => {
    const id = `${sender}:${next++}`;
    return body instanceof Uint8Array ? { id, type, sender, replyTo, body } : new ContentEnvelope(id, type, sender, replyTo, body);
  };
}
