/** The command line: `spark-proxy <command>`. */
import { SparkProxyError } from '../core/errors.ts';
import { version } from '../core/version.ts';
import type { Command } from './command.ts';
import { CLI_ERRORS } from './errors.ts';

/** Each is loaded when it is asked for: a worker starts without what submits programs, and the other way round. */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['run', async () => (await import('./run.ts')).runCommand],
  ['submit', async () => (await import('./submit.ts')).submitCommand],
  ['program', async () => (await import('./program.ts')).programCommand],
  ['dispatcher', async () => (await import('./dispatcher.ts')).dispatcherCommand],
  ['worker', async () => (await import('./worker.ts')).workerCommand],
  ['status', async () => (await import('./status.ts')).statusCommand],
  ['hosts', async () => (await import('./hosts.ts')).hostsCommand],
  ['tasks', async () => (await import('./tasks.ts')).tasksCommand],
  ['kill', async () => (await import('./kill.ts')).killCommand],
  ['drain', async () => (await import('./drain.ts')).drainCommand],
  ['retry', async () => (await import('./retry.ts')).retryCommand],
  ['apps', async () => (await import('./apps.ts')).appsCommand],
  ['destination', async () => (await import('./destination.ts')).destinationCommand],
  ['stop', async () => (await import('./stop.ts')).stopCommand],
  ['top', async () => (await import('./top.ts')).topCommand],
  ['conf', async () => (await import('./conf.ts')).confCommand],
  ['package', async () => (await import('./package.ts')).packageCommand],
  ['explain', async () => (await import('./explain.ts')).explainCommand],
  ['keygen', async () => (await import('./keygen.ts')).keygenCommand],
  ['completions', async () => (await import('./completions.ts')).completionsCommand(allCommands)],
]);

async function allCommands(): Promise<Command[]> {
  return Promise.all([...COMMANDS.values()].map((load) => load()));
}

async function overview(): Promise<string> {
  const commands = await allCommands();
  const width = Math.max(...commands.map((command) => command.name.length));
  return [
    'spark-proxy: run the tasks of a scheduler on external executors',
    '',
    'Usage: spark-proxy <command> [options]',
    '',
    ...commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    '',
    'spark-proxy <command> --help shows its options and examples; spark-proxy --version the version.',
    '',
  ].join('\n');
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(await overview());
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === '-v') {
    process.stdout.write(`${version}\n`);
    return 0;
  }
  const load = COMMANDS.get(name);
  if (load === undefined) throw CLI_ERRORS.UNKNOWN_COMMAND({ command: name, known: [...COMMANDS.keys()].join(', ') });
  const command = await load();
  if (rest[0] === '--help' || rest[0] === '-h') {
    process.stdout.write(command.help);
    return 0;
  }
  return command.run(rest);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const coded = SparkProxyError.is(error);
  process.stderr.write(coded ? `spark-proxy: ${error.message}\n  code: ${error.code}\n` : `${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = coded && error.code.startsWith('SP_CLI_') ? 2 : 1;
}
