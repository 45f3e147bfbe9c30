import type { HeldLease } from '../protocol/application.ts';
import { statusBytes } from '../protocol/batch.ts';
import type { LeasedStatus } from '../protocol/messages.ts';

interface Said {
  holding: readonly HeldLease[] | undefined;
  readonly statuses: LeasedStatus[];
}

const MAX_WORKERS = 10_000;
const MAX_BYTES = 67_108_864;

/** What workers said to a new leader before the register center told it of them. Bounded: what does not fit is run again. */
export class Newcomers {
  readonly #said = new Map<string, Said>();
  #bytes = 0;

  hold(workerId: string, holding: readonly HeldLease[]): void {
    this.#of(workerId).holding = holding;
  }

  say(workerId: string, statuses: readonly LeasedStatus[]): void {
    for (const status of statuses) {
      const bytes = statusBytes(status);
      if (this.#bytes + bytes > MAX_BYTES) return;
      this.#bytes += bytes;
      const { update } = status;
      // Copied: it outlives the frame that it is a view of.
      this.#of(workerId).statuses.push({ ...status, update: { ...update, data: update.data.slice() } });
    }
  }

  /** It has joined, or will not. */
  take(workerId: string): { readonly holding: readonly HeldLease[] | undefined; readonly statuses: readonly LeasedStatus[] } | undefined {
    const said = this.#said.get(workerId);
    if (said === undefined) return undefined;
    this.#said.delete(workerId);
    for (const status of said.statuses) this.#bytes -= statusBytes(status);
    return said;
  }

  #of(workerId: string): Said {
    let said = this.#said.get(workerId);
    if (said === undefined) {
      if (this.#said.size >= MAX_WORKERS) this.take(this.#said.keys().next().value as string);
      this.#said.set(workerId, (said = { holding: undefined, statuses: [] }));
    }
    return said;
  }
}
