import type { Channel, ConsumeMessage } from 'amqplib';
import type { Clock, Timer } from '../../core/clock.ts';

/** They are written when they are as many, or half of what may be in hand, or after as many milliseconds. */
const TOGETHER = 16;
const DELAY_MS = 4;

/**
 * Acknowledgements of one channel. They wait for each other a little, and those of frames that came one after the other are said
 * as one: the broker writes each to the log of a quorum queue. One that is lost with its channel has its frame delivered again,
 * no more.
 */
export class Acknowledgements {
  readonly #channel: Channel;
  readonly #prefetch: number;
  readonly #clock: Clock;
  /** Acknowledged here and not yet there, by their tags. */
  readonly #owed = new Map<number, ConsumeMessage>();
  /** Tags that are answered for, with a higher one than the next. */
  readonly #answered = new Set<number>();
  /** Of the first delivery that is not answered for; the broker counts them from 1. */
  #next = 1;
  #late: Timer | undefined;
  #soon = false;

  constructor(channel: Channel, prefetch: number, clock: Clock) {
    this.#channel = channel;
    this.#prefetch = prefetch;
    this.#clock = clock;
  }

  add(message: ConsumeMessage): void {
    this.#owed.set(message.fields.deliveryTag, message);
    this.#settle(message);
    const { size } = this.#owed;
    if (size < TOGETHER && size * 2 < this.#prefetch) {
      this.#late ??= this.#clock.after(DELAY_MS, () => this.flush(), { background: true });
    } else if (!this.#soon) {
      this.#soon = true;
      setImmediate(() => this.flush());
    }
  }

  /** Back to the queue, at once. @throws when the channel is closing */
  giveBack(message: ConsumeMessage): void {
    this.#settle(message);
    this.#channel.nack(message, false, true);
  }

  flush(): void {
    this.#late?.cancel();
    this.#late = undefined;
    this.#soon = false;
    // Of those in front of the first that is still in hand, the last stands for all; it must be one the broker waits for.
    let last: ConsumeMessage | undefined;
    const beyond: ConsumeMessage[] = [];
    for (const [tag, message] of this.#owed) {
      if (tag >= this.#next) beyond.push(message);
      else if (last === undefined || tag > last.fields.deliveryTag) last = message;
    }
    this.#owed.clear();
    try {
      if (last !== undefined) this.#channel.ack(last, true);
      for (const message of beyond) this.#channel.ack(message);
    } catch {
      // The channel is closing: the frames come again, and are known.
    }
  }

  /** Nothing is written any more. */
  stop(): void {
    this.#late?.cancel();
    this.#owed.clear();
  }

  #settle({ fields: { deliveryTag } }: ConsumeMessage): void {
    this.#answered.add(deliveryTag);
    while (this.#answered.delete(this.#next)) this.#next++;
  }
}
