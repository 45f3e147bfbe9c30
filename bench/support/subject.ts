import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

const MARK = 'BENCH ';
const TAIL = 20;

/**
 * A program under measurement. It says `BENCH <word> [text]` on a line of its own where it can be sampled, and goes on when
 * it is sent a line. What else it prints is kept for the error that tells why it failed.
 */
export class Subject {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #marks: string[] = [];
  readonly #tail: string[] = [];
  readonly #timeoutMs: number;
  #waiting: (() => void) | undefined;
  #ended = false;

  constructor(name: string, { command, args, env }: Launch, timeoutMs: number) {
    this.name = name;
    this.#timeoutMs = timeoutMs;
    this.#child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    const hear = (line: string): void => {
      // A progress bar leaves the cursor on its line.
      const at = line.lastIndexOf(MARK);
      if (at >= 0) this.#marks.push(line.slice(at + MARK.length));
      else if (this.#tail.push(line) > TAIL) this.#tail.shift();
      this.#waiting?.();
    };
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) createInterface({ input: stream }).on('line', hear);
    const end = (): void => {
      this.#ended = true;
      this.#waiting?.();
    };
    this.#child.once('error', (error) => {
      this.#tail.push(error.message);
      end();
    });
    this.#child.once('close', end);
    this.#child.stdin!.on('error', () => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The text of the next mark. */
  async mark(): Promise<string> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    const expire = (): void => this.#waiting?.();
    deadline.addEventListener('abort', expire);
    try {
      for (;;) {
        const mark = this.#marks.shift();
        if (mark !== undefined) return mark;
        if (this.#ended || deadline.aborted) {
          throw new Error(`${this.name} ${deadline.aborted ? `said nothing for ${this.#timeoutMs / 1000} s` : 'ended early'}:\n${this.#tail.join('\n')}`);
        }
        await new Promise<void>((resolve) => (this.#waiting = resolve));
      }
    } finally {
      deadline.removeEventListener('abort', expire);
    }
  }

  /** Lets it go on, and waits for what it says next. */
  async ask(line: string): Promise<string> {
    this.#child.stdin!.write(`${line}\n`);
    return await this.mark();
  }

  /** Lets it end by itself; kills it if it does not. */
  async close(): Promise<void> {
    if (this.#ended) return;
    const closed = once(this.#child, 'close');
    this.#child.stdin!.end('end\n');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await closed;
    clearTimeout(timer);
  }
}
