import { createLogger } from '../core/logger.ts';
import type { Envelope } from '../protocol/envelope.ts';
import type { Subscription } from './contract.ts';

const logger = createLogger('transport');

/** How the broker is told that this process wants a topic, or no longer. */
export interface TopicActions {
  subscribe(topic: string): Promise<unknown>;
  unsubscribe(topic: string): Promise<unknown>;
}

/** The topics a process listens to; one subscription at the broker however many listen here. */
export class Topics {
  readonly #actions: TopicActions;
  readonly #listeners = new Map<string, Set<(envelope: Envelope) => void>>();

  constructor(actions: TopicActions) {
    this.#actions = actions;
  }

  get names(): string[] {
    return [...this.#listeners.keys()];
  }

  async add(topic: string, receive: (envelope: Envelope) => void): Promise<Subscription> {
    // A wrapper, so that one function can listen twice.
    const each = (envelope: Envelope): void => receive(envelope);
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners);
    listeners.add(each);
    const remove = (): boolean => {
      const last = listeners.delete(each) && listeners.size === 0 && this.#listeners.get(topic) === listeners;
      if (last) this.#listeners.delete(topic);
      return last;
    };
    try {
      await this.#actions.subscribe(topic);
    } catch (error) {
      remove();
      throw error;
    }
    return {
      cancel: async () => {
        if (!remove()) return;
        try {
          await this.#actions.unsubscribe(topic);
        } catch (error) {
          logger.debug('a subscription ended with its connection', { topic, error: (error as Error).message });
        }
      },
    };
  }

  publish(topic: string, decode: () => Envelope): void {
    const listeners = this.#listeners.get(topic);
    if (listeners === undefined) return;
    let envelope: Envelope;
    try {
      envelope = decode();
    } catch (error) {
      logger.warn('a broadcast was refused', { topic, error: (error as Error).message });
      return;
    }
    for (const receive of [...listeners]) receive(envelope);
  }
}
