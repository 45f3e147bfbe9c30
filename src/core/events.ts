import { EventEmitter } from 'eventemitter3';
import type { Logger } from './logger.ts';

/** Event name -> payload of one bus. */
export type EventMap = object;

/**
 * A typed event bus. One event, one payload object. A listener that throws is reported and never breaks the emitter or
 * the listeners after it.
 */
export class EventBus<M extends EventMap> {
  readonly #emitter = new EventEmitter();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Subscribes; the returned function unsubscribes. */
  on<K extends keyof M & string>(event: K, listener: (payload: M[K]) => void): () => void {
    const guarded = (payload: M[K]): void => {
      try {
        listener(payload);
      } catch (error) {
        this.#logger.error(`a listener of ${event} threw`, { error: error instanceof Error ? (error.stack ?? error.message) : error });
      }
    };
    this.#emitter.on(event, guarded);
    return () => this.#emitter.off(event, guarded);
  }

  emit<K extends keyof M & string>(event: K, payload: M[K]): void {
    this.#emitter.emit(event, payload);
  }

  /** True when somebody listens: lets hot paths skip building payloads. */
  has(event: keyof M & string): boolean {
    return this.#emitter.listenerCount(event) > 0;
  }
}
