/** Worker processes that an application starts for itself (`worker.instances`). OWNERSHIP: they end with the session. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Configuration } from '../core/config.ts';
import { environmentName } from '../core/config.ts';
import type { Clock } from '../core/clock.ts';
import { withCompileCache } from '../core/compile-cache.ts';
import { createLogger } from '../core/logger.ts';
import { keepingCodeWarm } from '../core/warm-code.ts';
import { RESCHEDULE_ERRORS } from './errors.ts';

const logger = createLogger('worker-processes');

/** Settings of the application that its workers share. */
const INHERITED = [
  'worker.slots',
  'worker.labels',
  'worker.thread.memory',
  'worker.storage.memory',
  'worker.spark.memory',
  'worker.spark.idle',
  'worker.spark.java.options',
  'spark.homes',
  'worker.drain.grace',
  'registry.beat',
  'registry.ttl',
  'security.frame.ttl',
  'security.clock.skew',
  'log.level',
  'dispatch.queue.depth',
] as const;

/** How they get to the broker; by the environment, which other users cannot read. */
const CREDENTIALS = [
  'transport.username',
  'transport.password',
  'transport.password.file',
  'transport.tls.ca',
  'transport.tls.cert',
  'transport.tls.key',
  'transport.tls.servername',
  'redis.password',
  'key.file',
] as const;

/** Killed when they have not ended by themselves so long after being asked to. */
const STOP_MS = 5000;

export interface WorkerProcesses {
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

/** The CLI of this copy of the package: built, or the sources of a checkout. */
function cliPath(): string {
  const built = fileURLToPath(new URL('../cli/main.js', import.meta.url));
  return existsSync(built) ? built : fileURLToPath(new URL('../cli/main.ts', import.meta.url));
}

export function startWorkerProcesses(
  count: number,
  url: string,
  configuration: Configuration,
  localDir: string,
  clock: Clock,
  onDeath: (pid: number) => void,
): WorkerProcesses {
  const env = { ...withCompileCache(process.env) };
  for (const key of INHERITED) if (configuration.has(key)) env[environmentName(key)] = settingOf(configuration, key);
  for (const key of CREDENTIALS) {
    const value = configuration.get(key);
    if (value !== undefined) env[environmentName(key)] = value;
  }
  // The URL of the transport is without them.
  const asked = new URL(configuration.get('transport.url') ?? url);
  if (asked.username !== '') env[environmentName('transport.username')] = decodeURIComponent(asked.username);
  if (asked.password !== '') env[environmentName('transport.password')] = decodeURIComponent(asked.password);
  env[environmentName('transport.url')] = url;
  env[environmentName('spark.local.dir')] = localDir;
  const children = Array.from({ length: count }, () => startOne(env));
  let stopping = false;
  for (const child of children) {
    child.once('exit', (code, signal) => {
      if (stopping) return;
      logger.warn(RESCHEDULE_ERRORS.WORKER_EXITED({ pid: child.pid, status: signal ?? `exit code ${code}` }).message);
      if (child.pid !== undefined) onDeath(child.pid);
    });
    child.on('error', (error) => logger.error('a worker process could not be started', { error: error.message }));
  }
  const killAll = (): void => children.forEach((child) => child.kill('SIGKILL'));
  process.once('exit', killAll);
  return {
    pids: children.flatMap((child) => (child.pid === undefined ? [] : [child.pid])),
    async stop() {
      stopping = true;
      await Promise.all(children.map((child) => stopOne(child, clock)));
      process.removeListener('exit', killAll);
    },
  };
}

function settingOf(configuration: Configuration, key: string): string | undefined {
  return configuration.effective().find((setting) => setting.key === key)?.value;
}

function startOne(env: NodeJS.ProcessEnv): ChildProcess {
  // The worker ends when this pipe closes, so that it cannot outlive a driver that was killed.
  const child = spawn(process.execPath, [...keepingCodeWarm(), cliPath(), 'worker', '--owned'], { env, stdio: ['pipe', 'inherit', 'inherit'] });
  child.unref();
  (child.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  return child;
}

async function stopOne(child: ChildProcess, clock: Clock): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, 'exit');
  child.ref();
  child.kill('SIGTERM');
  const timer = clock.after(STOP_MS, () => child.kill('SIGKILL'));
  await ended;
  timer.cancel();
}
