import type { TaskState } from '../protocol/task.ts';

export interface Answer {
  readonly epoch: number;
  readonly state: TaskState;
  readonly data: Uint8Array;
}

/**
 * Answers given lately, so that a lease that is delivered or sent again is answered, not run again. The oldest go first
 * when there are more than `limit`, or more than `limitBytes` of data in them; what is forgotten is run again, which is
 * allowed (at least once).
 */
export class RecentAnswers {
  readonly #limit: number;
  readonly #limitBytes: number;
  readonly #answers = new Map<string, Answer>();
  #bytes = 0;

  constructor(limit: number, limitBytes: number) {
    this.#limit = limit;
    this.#limitBytes = limitBytes;
  }

  get(key: string): Answer | undefined {
    return this.#answers.get(key);
  }

  add(key: string, answer: Answer): void {
    // An attempt that was ended late says nothing about the lease that came after it.
    if ((this.#answers.get(key)?.epoch ?? 0) > answer.epoch) return;
    this.#delete(key);
    if (answer.data.length > this.#limitBytes) return;
    this.#answers.set(key, answer);
    this.#bytes += answer.data.length;
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= this.#limit && this.#bytes <= this.#limitBytes) return;
      this.#delete(oldest);
    }
  }

  #delete(key: string): void {
    const known = this.#answers.get(key);
    if (known === undefined) return;
    this.#answers.delete(key);
    this.#bytes -= known.data.length;
  }
}
