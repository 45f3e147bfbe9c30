/** Which numbers of one sender's channel were taken: the anti-replay window of RFC 4303 (IPsec ESP), without shifting as in RFC 6479. */

/** Frames older than this many before the newest are refused; far more than any broker delivers out of order. */
export const WINDOW = 16_384;
/** One more than the window, since the newest word is filled bit by bit. */
const WORDS = WINDOW / 32 + 1;

export class ReplayWindow {
  readonly #bits = new Uint32Array(WORDS);
  #highest = -1;

  /** False: it was taken before, or is too old to tell. */
  fresh(sequence: number): boolean {
    if (sequence > this.#highest) return true;
    if (sequence <= this.#highest - WINDOW) return false;
    return (this.#bits[Math.floor(sequence / 32) % WORDS]! & (1 << (sequence & 31))) === 0;
  }

  take(sequence: number): void {
    if (sequence > this.#highest) {
      // Words that the window moves over are of numbers long past.
      const from = Math.floor(this.#highest / 32) + 1;
      const to = Math.floor(sequence / 32);
      if (to - from >= WORDS) this.#bits.fill(0);
      else for (let word = from; word <= to; word++) this.#bits[word % WORDS] = 0;
      this.#highest = sequence;
    }
    this.#bits[Math.floor(sequence / 32) % WORDS]! |= 1 << (sequence & 31);
  }
}
