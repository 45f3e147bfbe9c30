import { parseArgs, type ParseArgsConfig } from 'node:util';
import { CLI_ERRORS } from './errors.ts';

/** One command of the CLI. To add one: a file beside this one, and its row in main.ts. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Everything `--help` shows, with examples. */
  readonly help: string;
  /** Gives the exit code. */
  run(args: readonly string[]): Promise<number>;
}

/** Values of options; an unknown one is an SP_CLI_USAGE error. */
export function parseOptions<const T extends NonNullable<ParseArgsConfig['options']>>(command: string, args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    throw CLI_ERRORS.USAGE({ command, reason: (cause as Error).message }, cause);
  }
}

/** `key=value` settings of repeated `--conf`. */
export function parseSettings(command: string, settings: readonly string[]): [string, string][] {
  return settings.map((setting) => {
    const at = setting.indexOf('=');
    if (at <= 0) throw CLI_ERRORS.USAGE({ command, reason: `--conf ${setting}: expected key=value` });
    return [setting.slice(0, at), setting.slice(at + 1)];
  });
}
