/** Looks at a store from a process of its own. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Question } from './programs/observer.ts';

export interface Observer {
  /** Rows of a key/value table. */
  read<T>(name: string): Promise<T[]>;
  /**
   * Looks all the time, each time at all of these datasets in one transaction. Resolves after its first look, with the function that stops it and gives
   * what was seen, in order: the numbers of rows as text, `40 40 1`.
   */
  watch(...names: string[]): Promise<() => Promise<string[]>>;
  close(): Promise<void>;
}

interface Answer {
  readonly rows?: unknown[];
  readonly seen?: string[];
  readonly error?: string;
}

export async function startObserver(store: string): Promise<Observer> {
  const child = fork(fileURLToPath(new URL('./programs/observer.ts', import.meta.url)), [store], { execArgv: [] });
  const heard = async (): Promise<Answer> => {
    const done = new AbortController();
    const { signal } = done;
    const ended = once(child, 'exit', { signal }).then(([code]): never => {
      throw new Error(`the observer ended with ${code}`);
    });
    ended.catch(() => undefined);
    try {
      const [answer] = (await Promise.race([once(child, 'message', { signal }), ended])) as [Answer];
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    } finally {
      done.abort();
    }
  };
  const ask = (question: Question): Promise<Answer> => {
    const answer = heard();
    child.send(question);
    return answer;
  };
  await heard();
  return {
    read: async <T>(name: string) => (await ask({ read: name })).rows as T[],
    watch: async (...names) => {
      await ask({ watch: names });
      return async () => (await ask({ stop: true })).seen as string[];
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.disconnect();
      await ended;
    },
  };
}
