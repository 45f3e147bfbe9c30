import { createReadStream, existsSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loadConfiguration } from '../core/config.ts';
import { printable } from '../core/errors.ts';
import { table } from '../observe/table.ts';
import type { RunRecord } from '../program/contract.ts';
import { PROGRAM_ERRORS } from '../program/errors.ts';
import { hasEnded, RunRecords } from '../program/records.ts';
import { createRuntime } from '../program/runtime.ts';
import { parseOptions, parseSettings, type Command } from './command.ts';
import { CLI_ERRORS } from './errors.ts';

const NAME = 'program';
/** As a shell would say of a process ended by SIGINT. */
const EXIT_CODES: Readonly<Record<string, number>> = { COMPLETED: 0, FAILED: 1, KILLED: 130 };

const HELP = `Usage: spark-proxy program run [options] FILE[#NAME] [arguments of the program]
       spark-proxy program runs [NAME] [--json]
       spark-proxy program list [--json]
       spark-proxy program stop RUN|NAME
       spark-proxy program logs RUN [--follow]

Programs are classes that extend SparkProgram, defineProgram(...), defineWorkflow(...), or files with only a main. A run has a record and a log
in program.home (.spark-proxy). run ends with 0 when the program COMPLETED, 1 when it FAILED, 130 when it was KILLED.

      --arg NAME=VALUE  an argument, as sec.arguments; may be repeated
      --name NAME       name of the run's program (its own)
      --conf KEY=VALUE  any setting (see spark-proxy conf); may be repeated
      --json            records as JSON

Examples:
  spark-proxy program run simple.ts
  spark-proxy program run --arg day=2026-01-31 --conf worker.instances=2 reports.ts#Daily
  spark-proxy program runs --json | jq '.[0].state'
  spark-proxy program stop Daily
`;

function home(): string {
  return loadConfiguration({}).get('program.home');
}

function seconds(record: RunRecord): string {
  return (((record.endTime ?? Date.now()) - record.startTime) / 1000).toFixed(1);
}

function print(records: readonly RunRecord[], json: boolean | undefined): void {
  if (json === true) {
    process.stdout.write(`${JSON.stringify(records, null, 2)}\n`);
    return;
  }
  const rows = records.map((record) => [
    record.runId,
    printable(record.program),
    record.state,
    new Date(record.startTime).toISOString(),
    `${seconds(record)} s`,
    record.cause === undefined ? '' : (printable(record.cause.message).split('\n')[0] as string),
  ]);
  process.stdout.write(`${table(['run', 'program', 'state', 'started', 'time', 'cause'], rows)}\n`);
}

async function run(args: readonly string[]): Promise<number> {
  const options = { arg: { type: 'string', multiple: true }, name: { type: 'string' }, conf: { type: 'string', multiple: true } } as const;
  const at = args.findIndex((arg, i) => !arg.startsWith('-') && !['--arg', '--name', '--conf'].includes(args[i - 1] ?? ''));
  const program = at < 0 ? undefined : args[at];
  const values = parseOptions(NAME, at < 0 ? args : args.slice(0, at), options);
  if (program === undefined) throw CLI_ERRORS.USAGE({ command: NAME, reason: 'no program is given' });
  const conf = Object.fromEntries(parseSettings(NAME, values.conf ?? []));
  // A mistake in a setting is told here, before anything starts.
  const configuration = loadConfiguration({ flags: Object.entries(conf) });
  const runtime = createRuntime({ configuration, echo: true });
  const started = runtime.start(program, {
    conf,
    arguments: Object.fromEntries(parseSettings(NAME, values.arg ?? [])),
    args: args.slice(at + 1),
    ...(values.name === undefined ? {} : { name: values.name }),
  });
  const stop = (signal: NodeJS.Signals): void => void started.stop(signal);
  const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, stop);
  const record = await started.ended;
  for (const signal of signals) process.removeListener(signal, stop);
  await runtime.close();
  if (record.cause !== undefined)
    process.stderr.write(`spark-proxy program: ${printable(record.program)} ${record.state}: ${printable(record.cause.message, 4000)}\n`);
  return EXIT_CODES[record.state] ?? 1;
}

/** Newest run of each program. */
function latest(records: readonly RunRecord[]): RunRecord[] {
  return [...new Map([...records].reverse().map((record) => [record.program, record])).values()];
}

async function stop(target: string): Promise<number> {
  const records = new RunRecords(home());
  const byId = records.get(target);
  const runs = byId === undefined ? records.list(target).filter((record) => !hasEnded(record)) : [byId];
  if (runs.length === 0) throw PROGRAM_ERRORS.NO_SUCH_RUN({ run: target });
  for (const record of runs) {
    if (hasEnded(record)) throw PROGRAM_ERRORS.ENDED({ runId: record.runId, state: record.state });
    records.requestStop(record.runId, 'spark-proxy program stop');
  }
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (!runs.every(({ runId }) => hasEnded(records.get(runId) ?? { state: 'KILLED' }))) return;
      unwatch();
      clearInterval(keepAlive);
      resolve();
    };
    const keepAlive = setInterval(look, 500);
    const unwatch = records.watch(look);
    look();
  });
  for (const { runId } of runs) process.stdout.write(`${runId} ${records.get(runId)?.state ?? 'gone'}\n`);
  return 0;
}

async function logs(runId: string, follow: boolean): Promise<number> {
  const records = new RunRecords(home());
  const path = records.logPath(runId);
  if (!existsSync(path)) throw PROGRAM_ERRORS.NO_SUCH_RUN({ run: runId });
  let from = 0;
  for (;;) {
    const ended = hasEnded(records.get(runId) ?? { state: 'KILLED' });
    const size = statSync(path).size;
    if (size > from) {
      for await (const chunk of createReadStream(path, { start: from, end: size - 1 })) process.stdout.write(chunk as Buffer);
      from = size;
    }
    if (!follow || ended) return 0;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

export const programCommand: Command = {
  name: NAME,
  summary: 'run programs with datasets and transactions, and see and stop their runs',
  help: HELP,
  async run([action, ...rest]) {
    if (action === undefined || (rest.includes('--help') === true && action !== 'run')) {
      process.stdout.write(HELP);
      return action === undefined ? 2 : 0;
    }
    if (action === 'run') return run(rest);
    const { values, positionals } = parse(rest);
    const [target] = positionals;
    if (action === 'runs') print(new RunRecords(home()).list(target), values.json);
    else if (action === 'list') print(latest(new RunRecords(home()).list()), values.json);
    else if (target === undefined) throw CLI_ERRORS.USAGE({ command: NAME, reason: `${printable(action)}: which run?` });
    else if (action === 'stop') return stop(target);
    else if (action === 'logs') return logs(target, values.follow === true);
    else throw CLI_ERRORS.USAGE({ command: NAME, reason: `${printable(action)}: expected run, runs, list, stop or logs` });
    return 0;
  },
};

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: { json: { type: 'boolean' }, follow: { type: 'boolean', short: 'f' } },
      strict: true,
      allowPositionals: true,
    });
  } catch (cause) {
    throw CLI_ERRORS.USAGE({ command: NAME, reason: (cause as Error).message }, cause);
  }
}
