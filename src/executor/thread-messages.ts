import type { WireError } from '../core/errors.ts';
import type { ThreadTask } from './run-task.ts';

export interface ThreadOptions {
  readonly executorId: string;
  readonly localDir: string;
}

/** Pool -> thread, in batches. */
export type ToThread =
  | { readonly tasks: readonly ThreadTask[] }
  | { readonly blob: { readonly hash: string; readonly bytes: Uint8Array } }
  | { readonly dropBlob: string }
  | { readonly block: { readonly id: string; readonly bytes: Uint8Array } }
  | { readonly dropBlock: string };

/** Thread -> pool, in batches: it can run, how a task ended, or a partition it has cached. */
export type FromThread =
  | { readonly ready: true }
  | { readonly sequence: number; readonly runMs: number; readonly data: Uint8Array }
  | { readonly sequence: number; readonly runMs: number; readonly error: WireError }
  | { readonly block: { readonly id: string; readonly bytes: Uint8Array } };
