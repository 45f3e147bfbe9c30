import { Deque } from './deque.ts';

interface Slot<T> {
  value: T | undefined;
  dropped: boolean;
}

/** Hands on what arrives in the order of arrival, also where one item (a frame whose body is fetched) is ready late. */
export class Arrivals<T> {
  readonly #slots = new Deque<Slot<T>>();
  readonly #deliver: (value: T) => void;

  constructor(deliver: (value: T) => void) {
    this.#deliver = deliver;
  }

  /** A place in the order, given up when the promise rejects: `failed` is told then. */
  add(value: T | Promise<T>, failed: (error: unknown) => void): void {
    if (!(value instanceof Promise) && this.#slots.size === 0) return this.#deliver(value);
    const slot: Slot<T> = { value: undefined, dropped: false };
    this.#slots.push(slot);
    if (!(value instanceof Promise)) {
      slot.value = value;
      return;
    }
    value.then(
      (ready) => {
        slot.value = ready;
        this.#advance();
      },
      (error: unknown) => {
        slot.dropped = true;
        failed(error);
        this.#advance();
      },
    );
  }

  #advance(): void {
    for (let first = this.#slots.peek(); first !== undefined && (first.dropped || first.value !== undefined); first = this.#slots.peek()) {
      this.#slots.shift();
      if (first.value !== undefined) this.#deliver(first.value);
    }
  }
}
