/** Real Apache Spark for tests: a standalone cluster on the loopback, applications by spark-submit, and Spark's own record of where tasks ran. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { archiveOptions } from '../../tools/class-archive.ts';
import { findSpark } from '../../tools/spark.ts';
import { watchOver } from './server-process.ts';

export const CORPUS = fileURLToPath(new URL('../apache-spark/corpus/', import.meta.url));
export const AGENT_JAR = fileURLToPath(new URL('../../jvm/target/spark-proxy-agent.jar', import.meta.url));

/** Home of that Spark; call it where `describeWith(['spark'])` has seen that there is one. */
export function sparkHome(version?: string): string {
  const home = findSpark(version);
  if (home === undefined) throw new Error(`Spark ${version ?? ''} is missing: node tools/spark.ts ${version ?? ''}`);
  return home;
}

/** A JVM that lives for seconds gains nothing from its second compiler, and much from classes that are loaded already. */
export function shortLived(home: string): string {
  return ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', ...archiveOptions(home)].join(' ');
}

/** What `org.apache.spark.launcher.JavaModuleOptions` opens of Java's own modules. */
export const JAVA_MODULE_OPTIONS: readonly string[] = [
  'java.lang',
  'java.lang.invoke',
  'java.lang.reflect',
  'java.io',
  'java.net',
  'java.nio',
  'java.util',
  'java.util.concurrent',
  'java.util.concurrent.atomic',
  'jdk.internal.ref',
  'sun.nio.ch',
  'sun.nio.cs',
  'sun.security.action',
  'sun.util.calendar',
].map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`);

/** What any Spark program of a test inherits: nothing of a Spark that the machine has set up. */
export function sparkEnvironment(home: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env };
  for (const name of Object.keys(env)) if (/^(SPARK|PYSPARK|HADOOP|YARN)_/.test(name)) delete env[name];
  return {
    ...env,
    ...(home === '' ? {} : { SPARK_HOME: home }),
    SPARK_LOCAL_IP: '127.0.0.1',
    SPARK_LOCAL_HOSTNAME: '127.0.0.1',
    PYTHONDONTWRITEBYTECODE: '1',
    ...more,
  };
}

/** A child process with all it prints, and a way to wait for a line of it. */
export interface Program {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  /** Exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** The first match in what it prints; rejects when it ends without. */
  printed(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** Ends it and all its children, and waits until it is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const TAIL = 6000;

/** Starts a program in a process group of its own, so that nothing it has started stays. */
export function startProgram(command: string, args: readonly string[], env: NodeJS.ProcessEnv, cwd?: string): Program {
  const child = spawn(command, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'], ...(cwd === undefined ? {} : { cwd }) });
  if (child.pid !== undefined) watchOver(process.pid, child.pid, cwd ?? '');
  const output = { stdout: '', stderr: '' };
  const waiting = new Set<() => void>();
  const hear = (to: 'stdout' | 'stderr') => (text: string) => {
    output[to] += text;
    for (const look of waiting) look();
  };
  child.stdout.setEncoding('utf8').on('data', hear('stdout'));
  child.stderr.setEncoding('utf8').on('data', hear('stderr'));
  let gone = false;
  const ended = new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  }).then((code) => {
    gone = true;
    for (const look of waiting) look();
    return code;
  });
  const tell = (): string => `${output.stdout.slice(-TAIL)}\n${output.stderr.slice(-TAIL)}`;
  return {
    child,
    output,
    ended,
    printed: (pattern, timeoutMs = 120_000) =>
      new Promise((resolve, reject) => {
        const done = (): void => {
          waiting.delete(look);
          clearTimeout(timer);
        };
        const look = (): void => {
          const match = pattern.exec(output.stdout) ?? pattern.exec(output.stderr);
          if (match !== null) {
            done();
            resolve(match);
          } else if (gone) {
            done();
            reject(new Error(`${command} ended without printing ${pattern}\n${tell()}`));
          }
        };
        const timer = setTimeout(() => {
          done();
          reject(new Error(`${command} did not print ${pattern} within ${timeoutMs} ms\n${tell()}`));
        }, timeoutMs);
        waiting.add(look);
        look();
      }),
    stop: async (signal = 'SIGTERM') => {
      const group = -(child.pid ?? 0);
      const kill = (how: NodeJS.Signals): void => {
        try {
          if (group < 0) process.kill(group, how);
        } catch {
          // All of it has ended.
        }
      };
      if (!gone) {
        kill(signal);
        const timer = setTimeout(() => kill('SIGKILL'), 10_000);
        await ended;
        clearTimeout(timer);
      }
      kill('SIGKILL');
    },
  };
}

export interface SparkCluster {
  /** For `--master`. */
  readonly master: string;
  readonly home: string;
  stop(): Promise<void>;
}

export interface StandaloneOptions {
  readonly home?: string;
  readonly cores?: number;
  readonly memory?: string;
  /** Properties of Master and Worker, such as spark.authenticate. */
  readonly conf?: Readonly<Record<string, string>>;
}

/** A Master and a Worker of Spark's standalone mode, on free ports of the loopback. */
export async function startStandalone({ home = sparkHome(), cores = 2, memory = '2g', conf = {} }: StandaloneOptions = {}): Promise<SparkCluster> {
  const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-cluster-'));
  const properties = Object.entries(conf).map(([key, value]) => `-D${key}=${value}`);
  const env = sparkEnvironment(home, {
    SPARK_DAEMON_MEMORY: '256m',
    SPARK_DAEMON_JAVA_OPTS: [shortLived(home), ...properties].join(' '),
    SPARK_WORKER_DIR: join(directory, 'work'),
    SPARK_LOCAL_DIRS: join(directory, 'local'),
    SPARK_CONF_DIR: join(directory, 'conf'),
  });
  mkdirSync(join(directory, 'conf'));
  const spark = join(home, 'bin', 'spark-class');
  const started: Program[] = [];
  const stop = async (): Promise<void> => {
    for (const program of started.toReversed()) await program.stop();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const master = startProgram(spark, ['org.apache.spark.deploy.master.Master', '--host', '127.0.0.1', '--port', '0', '--webui-port', '0'], env, directory);
    started.push(master);
    const url = (await master.printed(/Starting Spark master at (spark:\S+)/))[1] as string;
    const args = ['--host', '127.0.0.1', '--webui-port', '0', '-c', String(cores), '-m', memory, url];
    const worker = startProgram(spark, ['org.apache.spark.deploy.worker.Worker', ...args], env, directory);
    started.push(worker);
    await worker.printed(/Successfully registered with master/);
    return { master: url, home, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Where Spark itself says that tasks ran, from its event log. */
export interface TaskRecord {
  readonly stage: number;
  readonly task: number;
  readonly attempt: number;
  readonly executor: string;
  readonly host: string;
  readonly ok: boolean;
  /** Milliseconds since the epoch, as the driver has them. */
  readonly launched: number;
  readonly finished: number;
  /** It ended after the application had: it may be that nobody but the log was told. */
  readonly late: boolean;
}

export interface EventLog {
  readonly tasks: readonly TaskRecord[];
  /** Executors of the application by id: external or not, by their attributes. */
  readonly executors: ReadonlyMap<string, { readonly host: string; readonly cores: number; readonly external: boolean }>;
  /** Stage attempts that were completed: `id.attempt`. */
  readonly stages: readonly string[];
  readonly removed: readonly string[];
}

interface LoggedEvent {
  readonly Event: string;
  readonly 'Stage ID'?: number;
  readonly 'Executor ID'?: string;
  readonly 'Task Info'?: {
    'Task ID': number;
    Attempt: number;
    'Executor ID': string;
    Host: string;
    Failed: boolean;
    Killed: boolean;
    'Launch Time': number;
    'Finish Time': number;
  };
  readonly 'Executor Info'?: { Host: string; 'Total Cores': number; Attributes?: Record<string, string> };
  readonly 'Stage Info'?: { 'Stage ID': number; 'Stage Attempt ID': number };
}

/** External executors have numbers that Spark itself never reaches. */
const FIRST_EXTERNAL = 900_000;

function isExternal(id: string, attributes: Readonly<Record<string, string>> = {}): boolean {
  return Number(id) >= FIRST_EXTERNAL || Object.keys(attributes).some((name) => /proxy/i.test(name));
}

/** Reads the event logs below a directory as one; those of version 4 are directories of parts. */
export function readEventLog(directory: string): EventLog {
  const tasks: TaskRecord[] = [];
  const executors = new Map<string, { host: string; cores: number; external: boolean }>();
  const stages: string[] = [];
  const removed: string[] = [];
  let hasEnded = false;
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && !/^(appstatus|\.)/.test(entry.name));
  for (const file of files) {
    for (const line of readFileSync(join(file.parentPath, file.name), 'utf8').split('\n')) {
      if (line.includes('"Event":"SparkListenerApplicationEnd"')) hasEnded = true;
      if (!/"Event":"SparkListener(TaskEnd|ExecutorAdded|ExecutorRemoved|StageCompleted)"/.test(line)) continue;
      const event = JSON.parse(line) as LoggedEvent;
      const [task, executor, stage, id] = [event['Task Info'], event['Executor Info'], event['Stage Info'], event['Executor ID']];
      if (task !== undefined) {
        tasks.push({
          stage: event['Stage ID'] as number,
          task: task['Task ID'],
          attempt: task.Attempt,
          executor: task['Executor ID'],
          host: task.Host,
          ok: !task.Failed && !task.Killed,
          launched: task['Launch Time'],
          finished: task['Finish Time'],
          late: hasEnded,
        });
      } else if (stage !== undefined) stages.push(`${stage['Stage ID']}.${stage['Stage Attempt ID']}`);
      else if (executor !== undefined && id !== undefined)
        executors.set(id, { host: executor.Host, cores: executor['Total Cores'], external: isExternal(id, executor.Attributes) });
      else if (id !== undefined) removed.push(id);
    }
  }
  return { tasks, executors, stages, removed };
}

export interface Submission {
  readonly master: string;
  readonly home?: string;
  readonly conf?: Readonly<Record<string, string>>;
  readonly env?: NodeJS.ProcessEnv;
  /** Options of spark-submit before the application. */
  readonly options?: readonly string[];
  /** The application and its arguments. */
  readonly application: readonly string[];
  /** The program and its first arguments in place of `spark-submit`. */
  readonly command?: readonly string[];
}

export interface Application extends Program {
  /** Ends with what the application printed and did; rejects when it failed. */
  result(): Promise<ApplicationResult>;
  readonly directory: string;
}

export interface ApplicationResult {
  /** Lines `RESULT name value`, in order. */
  readonly results: readonly string[];
  readonly log: EventLog;
  readonly stdout: string;
  readonly stderr: string;
}

const DEFAULT_CONF: Readonly<Record<string, string>> = {
  'spark.ui.enabled': 'false',
  'spark.driver.host': '127.0.0.1',
  'spark.driver.bindAddress': '127.0.0.1',
  'spark.driver.memory': '600m',
  'spark.executor.memory': '600m',
  'spark.cores.max': '2',
  'spark.sql.shuffle.partitions': '4',
  // Pauses of seconds by default: for a place near the data, for blocks that may come back, for a reason why an executor went.
  'spark.locality.wait': '500ms',
  'spark.shuffle.io.retryWait': '500ms',
  'spark.standalone.executorRemoveDelayOnDisconnection': '500ms',
  'spark.eventLog.enabled': 'true',
  'spark.eventLog.compress': 'false',
  'spark.eventLog.rolling.enabled': 'false',
};

/** Resolves when every task of the log ran on an external executor; the words of a failure say where the others ran. */
export function insideTasks({ tasks, executors }: EventLog): readonly TaskRecord[] {
  return tasks.filter(({ executor }) => executors.get(executor)?.external !== true && !isExternal(executor));
}

/** Starts an application by spark-submit; its files and event log go when it is stopped or has given its result. */
export function submitApplication({ master, home = sparkHome(), conf = {}, env = {}, options = [], application, command }: Submission): Application {
  const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-application-'));
  mkdirSync(join(directory, 'events'));
  const settings = {
    ...DEFAULT_CONF,
    'spark.driver.extraJavaOptions': shortLived(home),
    'spark.executor.extraJavaOptions': shortLived(home),
    'spark.eventLog.dir': `file://${directory}/events`,
    'spark.sql.warehouse.dir': `file://${directory}/warehouse`,
    ...conf,
  };
  const flags = Object.entries(settings).flatMap(([key, value]) => ['--conf', `${key}=${value}`]);
  const [program, ...first] = command ?? [join(home, 'bin', 'spark-submit')];
  const args = [...first, '--master', master, ...flags, ...options, ...application];
  const running = startProgram(program as string, args, sparkEnvironment(home, { SPARK_LOCAL_DIRS: directory, ...env }), directory);
  const clean = (): void => rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  return {
    ...running,
    directory,
    stop: async (signal) => {
      await running.stop(signal);
      clean();
    },
    result: async () => {
      try {
        const code = await running.ended;
        const { stdout, stderr } = running.output;
        if (code !== 0) throw new Error(`${application.join(' ')} ended with ${code}\n${stdout.slice(-TAIL)}\n${stderr.slice(-2 * TAIL)}`);
        const results = stdout.split('\n').flatMap((line) => (line.startsWith('RESULT ') ? [line.slice('RESULT '.length)] : []));
        return { results, log: readEventLog(join(directory, 'events')), stdout, stderr };
      } finally {
        await running.stop();
        clean();
      }
    },
  };
}
