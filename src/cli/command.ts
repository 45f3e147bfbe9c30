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

/** Options and positional arguments; a name in brackets is optional. @throws SP_CLI_USAGE */
export function parseWithArguments<const T extends NonNullable<ParseArgsConfig['options']>>(
  command: string,
  args: readonly string[],
  options: T,
  names: readonly string[],
) {
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options, strict: true, allowPositionals: true });
  } catch (cause) {
    throw CLI_ERRORS.USAGE({ command, reason: (cause as Error).message }, cause);
  }
  const { values, positionals: given } = parsed;
  const missing = names.find((name, i) => !name.startsWith('[') && (given[i] ?? '') === '');
  if (missing !== undefined) throw CLI_ERRORS.USAGE({ command, reason: `no ${missing} is given` });
  if (given.length > names.length) throw CLI_ERRORS.USAGE({ command, reason: `unexpected argument ${given[names.length]}` });
  return { values, given };
}

/** @throws SP_CLI_USAGE */
export function wholeNumber(command: string, name: string, text: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) throw CLI_ERRORS.USAGE({ command, reason: `${name} ${text}: expected a whole number from ${min}` });
  return value;
}

/** `key=value` settings of repeated `--conf`. */
export function parseSettings(command: string, settings: readonly string[]): [string, string][] {
  return settings.map((setting) => {
    const at = setting.indexOf('=');
    if (at <= 0) throw CLI_ERRORS.USAGE({ command, reason: `--conf ${setting}: expected key=value` });
    return [setting.slice(0, at), setting.slice(at + 1)];
  });
}
