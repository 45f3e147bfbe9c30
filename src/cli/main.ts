/** The command line: `spark-proxy <command>`. */
import { SparkProxyError } from '../core/errors.ts';
import { version } from '../core/version.ts';
import type { Command } from './command.ts';
import { confCommand } from './conf.ts';
import { dispatcherCommand } from './dispatcher.ts';
import { CLI_ERRORS } from './errors.ts';
import { explainCommand } from './explain.ts';
import { programCommand } from './program.ts';
import { keygenCommand } from './keygen.ts';
import { packageCommand } from './package.ts';
import { completionsCommand } from './completions.ts';
import { drainCommand } from './drain.ts';
import { hostsCommand } from './hosts.ts';
import { killCommand } from './kill.ts';
import { retryCommand } from './retry.ts';
import { statusCommand } from './status.ts';
import { tasksCommand } from './tasks.ts';
import { topCommand } from './top.ts';
import { runCommand } from './run.ts';
import { submitCommand } from './submit.ts';
import { workerCommand } from './worker.ts';

const COMMANDS: readonly Command[] = [
  runCommand,
  submitCommand,
  programCommand,
  dispatcherCommand,
  workerCommand,
  statusCommand,
  hostsCommand,
  tasksCommand,
  killCommand,
  drainCommand,
  retryCommand,
  topCommand,
  confCommand,
  packageCommand,
  explainCommand,
  keygenCommand,
  completionsCommand(() => COMMANDS),
];

function overview(): string {
  const width = Math.max(...COMMANDS.map((command) => command.name.length));
  return [
    'spark-proxy: run the tasks of a scheduler on external executors',
    '',
    'Usage: spark-proxy <command> [options]',
    '',
    ...COMMANDS.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    '',
    'spark-proxy <command> --help shows its options and examples; spark-proxy --version the version.',
    '',
  ].join('\n');
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(overview());
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === '-v') {
    process.stdout.write(`${version}\n`);
    return 0;
  }
  const command = COMMANDS.find((known) => known.name === name);
  if (command === undefined) throw CLI_ERRORS.UNKNOWN_COMMAND({ command: name, known: COMMANDS.map((known) => known.name).join(', ') });
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
