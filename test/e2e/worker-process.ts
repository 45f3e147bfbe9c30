/** Real worker processes for tests; each with files of its own, killed and tidied up by `close`. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RescheduleSession } from '../../src/reschedule/index.ts';

const CLI = fileURLToPath(new URL('../../bin/spark-proxy.js', import.meta.url));

export interface WorkerProcess {
  readonly id: string;
  readonly pid: number;
  readonly localDir: string;
  readonly output: { text: string };
  readonly child: ChildProcess;
  /** Exit code once it has ended. */
  readonly ended: Promise<number | null>;
  kill(signal: NodeJS.Signals): Promise<number | null>;
  close(): Promise<void>;
}

/** Starts `spark-proxy worker` and resolves when it says that it is ready. */
export async function startWorker(
  url: string,
  conf: Readonly<Record<string, string>> = {},
  options: { readonly args?: readonly string[]; readonly cwd?: string; readonly cli?: string } = {},
): Promise<WorkerProcess> {
  const localDir = mkdtempSync(join(tmpdir(), 'spark-proxy-test-'));
  const settings = { 'registry.beat': '100ms', 'registry.ttl': '1s', 'log.level': 'info', 'spark.local.dir': localDir, ...conf };
  const flags = Object.entries(settings).flatMap(([key, value]) => ['--conf', `${key}=${value}`]);
  const child = spawn(process.execPath, [options.cli ?? CLI, 'worker', '--url', url, ...flags, ...(options.args ?? [])], {
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  const output = { text: '' };
  const ready = await new Promise<RegExpExecArray>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.text += text;
      const said = /ready id=(\S+)/.exec(output.text);
      if (said !== null) resolve(said);
    });
    void ended.then(() => reject(new Error(`the worker ended before it was ready: ${output.text}`)));
  });
  const kill = (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return ended;
  };
  return {
    id: ready[1] as string,
    pid: child.pid as number,
    localDir,
    output,
    child,
    ended,
    kill,
    async close() {
      await kill('SIGKILL');
      rmSync(localDir, { recursive: true, force: true });
    },
  };
}

/** Resolves when as many workers are known to the session. */
export async function workersOf(session: RescheduleSession, count: number): Promise<void> {
  while ((session.stats().dispatcher?.workers.filter((w) => w.alive).length ?? 0) !== count) await session.changed();
}
