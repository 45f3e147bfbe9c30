import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { extname } from 'node:path';
import { constants } from 'node:os';
import { environmentName, loadConfiguration } from '../core/config.ts';
import { keepingCodeWarm } from '../core/warm-code.ts';
import { CLI_ERRORS } from './errors.ts';
import { parseOptions, parseSettings, type Command } from './command.ts';

const OPTIONS = {
  workers: { type: 'string', short: 'w' },
  slots: { type: 'string' },
  internal: { type: 'boolean' },
  external: { type: 'boolean' },
  url: { type: 'string' },
  selector: { type: 'string' },
  conf: { type: 'string', multiple: true },
  progress: { type: 'boolean' },
  summary: { type: 'boolean' },
} as const;

const WITH_VALUE = new Set(['--workers', '-w', '--slots', '--url', '--selector', '--conf']);

/** Options come before FILE; what follows it is the program's. */
function splitAtFile(args: readonly string[]): { options: string[]; file: string | undefined; rest: string[] } {
  let i = 0;
  while (i < args.length) {
    const arg = args[i] as string;
    if (arg === '--') {
      i += 1;
      break;
    }
    if (!arg.startsWith('-')) break;
    i += WITH_VALUE.has(arg) ? 2 : 1;
  }
  return { options: args.slice(0, args[i - 1] === '--' ? i - 1 : i), file: args[i], rest: args.slice(i + 1) };
}

/** Flags as settings of the program's process: through the environment, where its own SparkConf is weaker. */
function settingsOf(args: readonly string[]): Map<string, string> {
  const values = parseOptions('run', args, OPTIONS);
  const settings = new Map(parseSettings('run', values.conf ?? []));
  if (values.workers !== undefined) settings.set('worker.instances', values.workers);
  if (values.slots !== undefined) settings.set('worker.slots', values.slots);
  if (values.url !== undefined) settings.set('transport.url', values.url);
  if (values.selector !== undefined) settings.set('host.selector', values.selector);
  if (values.internal === true && values.external === true) throw CLI_ERRORS.USAGE({ command: 'run', reason: '--internal and --external exclude each other' });
  if (values.internal === true) settings.set('reschedule.dst.executor', 'internal');
  if (values.external === true) settings.set('reschedule.dst.executor', 'external');
  if (values.progress === true) settings.set('spark.ui.showConsoleProgress', 'true');
  if (values.summary === true) settings.set('observe.summary', 'true');
  return settings;
}

export const runCommand: Command = {
  name: 'run',
  summary: 'run a TypeScript or JavaScript program with the preload on',
  help: `Usage: spark-proxy run [options] FILE [arguments of the program]

Runs FILE under Node with spark-proxy's preload: TypeScript as it is, closures that travel, aspects on SparkContext and launchTasks.

  -w, --workers N      start N worker processes for this program
      --slots N        tasks a worker runs at once (1)
      --internal       run all tasks inside (reschedule.dst.executor=internal)
      --external       run tasks on workers (the default; inside while there is none)
      --url URL        transport, such as tcp://127.0.0.1:7077 (port 0: any)
      --selector NAME  RANDOM, ROUND_ROBIN, LEAST_LOADED, POWER_OF_TWO, PULL, CONSISTENT_HASH, LOCALITY, ./module.js
      --progress       a progress line per stage
      --summary        where tasks ran, when the context stops
      --conf KEY=VALUE any setting (see spark-proxy conf); may be repeated

Examples:
  spark-proxy run pi.ts 100
  spark-proxy run --workers 2 --progress --summary words.ts docs/**/*.md
  spark-proxy run --internal --conf spark.master=local[4] words.ts
`,
  async run(args) {
    const { options, file, rest } = splitAtFile(args);
    const settings = settingsOf(options);
    if (file === undefined) throw CLI_ERRORS.USAGE({ command: 'run', reason: 'no program is given' });
    if (!existsSync(file)) throw CLI_ERRORS.NO_SUCH_FILE({ file });
    if (statSync(file).isDirectory()) throw CLI_ERRORS.USAGE({ command: 'run', reason: `${file} is a directory, not a program` });
    // A mistake in a setting is told here, before anything starts.
    loadConfiguration({ flags: settings });
    const env: NodeJS.ProcessEnv = { ...process.env };
    for (const [key, value] of settings) env[environmentName(key)] = value;
    const preload = new URL(`../register${extname(import.meta.url)}`, import.meta.url).href;
    const child = spawn(process.execPath, [...keepingCodeWarm(), ...process.execArgv, '--import', preload, file, ...rest], { stdio: 'inherit', env });
    const forward = (signal: NodeJS.Signals): void => {
      child.kill(signal);
    };
    const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        for (const one of signals) process.removeListener(one, forward);
        resolve(code ?? 128 + (signal === null ? 1 : constants.signals[signal]));
      });
    });
  },
};
