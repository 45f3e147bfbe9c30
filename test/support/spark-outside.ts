/** What moves Spark's tasks out, for tests: a dispatcher and workers as processes of their own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SparkApplicationInfo } from '../../src/apache-spark/index.ts';
import { askOnce } from '../../src/cli/admin-client.ts';
import { environmentName } from '../../src/core/config.ts';
import type { TaskInfo } from '../../src/protocol/admin.ts';
import { buildAgent } from '../../tools/build-jvm.ts';
import { freePort } from './server-process.ts';
import { AGENT_JAR, sparkEnvironment, sparkHome, startProgram, type Program } from './spark.ts';

const CLI = fileURLToPath(new URL('../../bin/spark-proxy.js', import.meta.url));
/** Until a process serves, on a machine that has much else to do. */
const READY_MS = 60_000;

export interface OutsideOptions {
  /** Sparks of the workers. @defaultValue the default one */
  readonly homes?: readonly string[];
  readonly workers?: number;
  /** Cores of each worker's executor. */
  readonly slots?: number;
  /** A broker, or `tcp://127.0.0.1:0`: the dispatcher serves it. */
  readonly url?: string;
  /** Settings of dispatcher and workers. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Workers that a new context waits for. @defaultValue workers */
  readonly expected?: number;
}

export interface Outside {
  readonly url: string;
  /** `host:port` of the agent link. */
  readonly agent: string;
  /** What an application sets to be moved out. */
  readonly conf: Readonly<Record<string, string>>;
  readonly dispatcher: Program;
  readonly workers: readonly Program[];
  startWorker(): Promise<Program>;
  /** Starts the dispatcher again on its old addresses, after it was killed. */
  restartDispatcher(): Promise<void>;
  /** Pids of the external executors that the workers have said they started, latest last. */
  executorPids(): number[];
  /** As `spark-proxy apps` asks. */
  applications(): Promise<readonly SparkApplicationInfo[]>;
  /** As `spark-proxy tasks` asks, newest first. */
  tasks(application: string): Promise<readonly TaskInfo[]>;
  /** Runs a command of an operator; gives what it prints. */
  operate(...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** Starts all of it; the agent jar is built first if need be. */
export async function startOutside(options: OutsideOptions = {}): Promise<Outside> {
  const { homes = [sparkHome()], workers: count = 1, slots = 2, url = 'tcp://127.0.0.1:0', settings = {}, expected = count } = options;
  const problem = buildAgent();
  if (problem !== undefined) throw new Error(problem);
  // What a worker leaves that was killed goes with this directory.
  const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-outside-'));
  const env: NodeJS.ProcessEnv = {
    [environmentName('log.level')]: 'info',
    [environmentName('spark.local.dir')]: directory,
    // An executor may start slowly on a machine that has much else to do, and no task may run inside meanwhile.
    [environmentName('worker.register.timeout')]: '3m',
  };
  for (const [key, value] of Object.entries(settings)) env[environmentName(key)] = value;
  const conf = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  // A worker dies with its broker's address unchanged, so ports are chosen here.
  const fixed = url === 'tcp://127.0.0.1:0' ? `tcp://127.0.0.1:${await freePort()}` : url;
  const agentPort = await freePort();
  const serve = async (): Promise<Program> => {
    const args = [CLI, 'dispatcher', '--url', fixed, '--agent-port', String(agentPort), '--conf', `worker.instances=${expected}`];
    const program = startProgram(process.execPath, args, sparkEnvironment('', env));
    await program.printed(/agents are awaited/, READY_MS);
    return program;
  };
  let dispatcher = await serve();
  const workers: Program[] = [];
  const startWorker = async (): Promise<Program> => {
    const args = [CLI, 'worker', '--url', fixed, '--slots', String(slots), ...homes.flatMap((home) => ['--spark-home', home])];
    const program = startProgram(process.execPath, args, sparkEnvironment('', env));
    workers.push(program);
    await program.printed(/worker: ready/, READY_MS);
    return program;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await dispatcher.stop();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    for (let i = 0; i < count; i++) await startWorker();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: fixed,
    agent: `127.0.0.1:${agentPort}`,
    conf: { 'spark.driver.defaultJavaOptions': `-javaagent:${AGENT_JAR}`, 'spark.proxy.dispatcher': `127.0.0.1:${agentPort}` },
    get dispatcher() {
      return dispatcher;
    },
    workers,
    startWorker,
    restartDispatcher: async () => {
      await dispatcher.stop('SIGKILL');
      dispatcher = await serve();
    },
    executorPids: () => workers.flatMap(({ output }) => [...output.stderr.matchAll(/an executor starts .*?pid=(\d+)/g)].map((match) => Number(match[1]))),
    applications: async () => (await askOnce('apps', { url: fixed, conf }, 'apps', {})).applications,
    tasks: async (application) => (await askOnce('tasks', { url: fixed, conf }, 'tasks', { application, limit: 10_000 })).tasks,
    operate: async (...args) => {
      const program = startProgram(process.execPath, [CLI, ...args, '--url', fixed], sparkEnvironment('', env));
      const code = await program.ended;
      if (code !== 0) throw new Error(`spark-proxy ${args.join(' ')} ended with ${code}: ${program.output.stderr}`);
      return program.output.stdout;
    },
    stop,
  };
}
