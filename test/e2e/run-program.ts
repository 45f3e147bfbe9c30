/** Runs a program through the real CLI in a child process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../bin/spark-proxy.js', import.meta.url));

export interface Running {
  readonly child: ChildProcess;
  /** Grows while the program runs. */
  readonly output: { stdout: string; stderr: string };
  /** Exit code; rejects when the program has not ended within `timeoutMs`, and kills it then. */
  readonly ended: Promise<number | null>;
}

export function start(args: readonly string[], options: { readonly timeoutMs?: number; readonly env?: NodeJS.ProcessEnv } = {}): Running {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env }, detached: true });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const { timeoutMs = 60_000 } = options;
  const ended = (async () => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    const [code] = (await once(child, 'close')) as [number | null];
    clearTimeout(timer);
    if (late) throw new Error(`the program did not end within ${timeoutMs} ms\n${output.stdout}\n${output.stderr}`);
    return code;
  })();
  return { child, output, ended };
}

export async function run(
  args: readonly string[],
  options: { readonly timeoutMs?: number; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const running = start(args, options);
  const code = await running.ended;
  return { code, ...running.output };
}

/** Pids of the worker processes that the program's log names, once `count` of them are ready. */
export function workerPids(running: Running, count: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const pids = [...running.output.stderr.matchAll(/worker: ready .*?pid=(\d+)/g)].map((match) => Number(match[1]));
      if (pids.length >= count) resolve(pids);
    };
    running.child.stderr?.on('data', look);
    running.ended.then(() => reject(new Error(`the program ended before ${count} workers were ready\n${running.output.stderr}`)), reject);
    look();
  });
}
