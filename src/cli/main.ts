/** The command line: `spark-proxy <command>`. */
import { SparkProxyError } from '../core/errors.ts';
import { version } from '../core/version.ts';
import { allCommands, COMMANDS } from './commands.ts';
import { CLI_ERRORS } from './errors.ts';

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

// An idle connection keeps no process alive; a command that has not ended does.
const alive = setInterval(() => undefined, 2 ** 30);
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const coded = SparkProxyError.is(error);
  process.stderr.write(coded ? `spark-proxy: ${error.message}\n  code: ${error.code}\n` : `${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = coded && error.code.startsWith('SP_CLI_') ? 2 : 1;
} finally {
  clearInterval(alive);
}
