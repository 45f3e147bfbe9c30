import childProcess from 'node:child_process';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import threads from 'node:worker_threads';
import { errors } from './errors.ts';
import type { RegisterOptions } from './register.ts';

/** Registration as plain data: what threads and processes inherit. */
export interface Carried extends Omit<RegisterOptions, 'aspects'> {
  readonly aspects: readonly string[];
  /** File for `explain()` as JSON when the process ends; of the first process only. */
  readonly explainInto?: string;
}

const VARIABLE = 'SPARK_PROXY_ASPECTS';
const DATA = 'spark-proxy.aspects';
const preload = (): string => new URL(`./preload${extname(import.meta.url)}`, import.meta.url).href;

/**
 * What was asked for from outside: by the thread that started this one; by SPARK_PROXY_ASPECTS (modules, separated by commas, or the
 * options as JSON), whose fields go over those of `spark-proxy` in the nearest package.json.
 * @throws SP_ASPECTS_CONFIGURATION
 */
export function configured(): Carried | undefined {
  const inherited = threads.isMainThread ? undefined : threads.getEnvironmentData(DATA);
  if (typeof inherited === 'string') return JSON.parse(inherited) as Carried;
  const text = process.env[VARIABLE];
  const environment = text === undefined || text === '' ? {} : fromEnvironment(text);
  const options = { ...fromPackage(process.cwd()), ...environment };
  return options.aspects === undefined ? undefined : checked(options, text === undefined ? 'package.json' : VARIABLE);
}

function fromEnvironment(text: string): Partial<Carried> {
  if (!text.trimStart().startsWith('{')) return { aspects: text.split(',').map((one) => one.trim()) };
  try {
    return JSON.parse(text) as Partial<Carried>;
  } catch (error) {
    throw errors.CONFIGURATION({ where: VARIABLE, why: (error as Error).message }, error);
  }
}

/** `"spark-proxy": { "aspects": ["./aspects.js"], "include": ["src/**"] }`; paths are relative to the package. */
function fromPackage(folder: string): Partial<Carried> {
  let text: string;
  try {
    text = readFileSync(join(folder, 'package.json'), 'utf8');
  } catch {
    return dirname(folder) === folder ? {} : fromPackage(dirname(folder));
  }
  if (!text.includes('"spark-proxy"')) return {};
  let asked: unknown;
  try {
    asked = (JSON.parse(text) as Record<string, unknown>)['spark-proxy'];
  } catch (error) {
    throw errors.CONFIGURATION({ where: join(folder, 'package.json'), why: (error as Error).message }, error);
  }
  if (typeof asked !== 'object' || asked === null) return {};
  const options = asked as Partial<Carried>;
  if (!Array.isArray(options.aspects)) return options;
  return { ...options, aspects: options.aspects.map((one) => (String(one).startsWith('.') ? pathToFileURL(resolve(folder, String(one))).href : String(one))) };
}

function checked(options: Partial<Carried>, where: string): Carried {
  const fail = (why: string): never => {
    throw errors.CONFIGURATION({ where, why });
  };
  for (const key of ['aspects', 'include', 'exclude'] as const) {
    const value: unknown = options[key];
    if (value !== undefined && !(Array.isArray(value) && value.every((one) => typeof one === 'string' && one !== ''))) fail(`${key} is no list of texts`);
  }
  const known = ['aspects', 'include', 'exclude', 'strict', 'dryRun', 'dump', 'explainInto'];
  for (const key of Object.keys(options)) if (!known.includes(key)) fail(`${key} is not an option; there are ${known.slice(0, -1).join(', ')}`);
  return options as Carried;
}

let carried = false;

/** Hands the registration on: to threads also when their `execArgv` or `env` says nothing of it, and to forked processes. */
export function carry(options: Carried): void {
  // Only the first process knows whether anything was missed.
  const { explainInto: _file, strict: _strict, ...handed } = options;
  const text = JSON.stringify(handed);
  threads.setEnvironmentData(DATA, text);
  process.env[VARIABLE] = text;
  if (carried) return;
  carried = true;
  interceptWorkers();
  interceptFork();
  syncBuiltinESMExports();
}

/** Its arguments with our preload, unless they load it, or the whole preload, already. */
function withPreload(execArgv: readonly string[] | undefined): string[] {
  const given = [...(execArgv ?? process.execArgv)];
  const url = preload();
  return given.some((argument) => argument.includes(url)) ? given : [...given, '--import', url];
}

/** Options of the whole process, such as `--max-old-space-size`: a thread has them anyway, and refuses them when they are named. */
function refusedIn(error: unknown): readonly string[] {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ERR_WORKER_INVALID_EXEC_ARGV' ? message.slice(message.indexOf(': ') + 2).split(', ') : [];
}

function interceptWorkers(): void {
  const { Worker: Original } = threads;
  class Worker extends Original {
    constructor(file: string | URL, options: threads.WorkerOptions = {}) {
      const execArgv = withPreload(options.execArgv);
      try {
        super(file, { ...options, execArgv });
      } catch (error) {
        const refused = options.execArgv === undefined ? refusedIn(error) : [];
        if (refused.length === 0) throw error;
        super(file, { ...options, execArgv: execArgv.filter((argument) => !refused.includes(argument)) });
      }
    }
  }
  threads.Worker = Worker;
}

function interceptFork(): void {
  const { fork: original } = childProcess;
  const fork = (path: string | URL, ...rest: readonly unknown[]): childProcess.ChildProcess => {
    const args = Array.isArray(rest[0]) ? (rest[0] as string[]) : [];
    const options = ((Array.isArray(rest[0]) ? rest[1] : (rest[0] ?? rest[1])) ?? {}) as childProcess.ForkOptions;
    const env = { ...(options.env ?? process.env), [VARIABLE]: process.env[VARIABLE] };
    return original(path, args, { ...options, env, execArgv: withPreload(options.execArgv) });
  };
  childProcess.fork = fork as typeof original;
}
