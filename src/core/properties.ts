/** Java-style properties files: read with the line of everything, edited one key at a time. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CONFIG_ERRORS } from './config-errors.ts';

/** One value and where it came from, such as `common.properties:12`, `environment`, `SparkConf`, `default`. */
export interface Setting {
  readonly value: string;
  readonly where: string;
}

export type Settings = ReadonlyMap<string, Setting>;

export const PROPERTIES_FILE = 'common.properties';

const MAX_BYTES = 1_048_576;
const LINE = /^([\w.-]+)\s*(?:[=:]|\s)\s*(.*)$/;
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\0-\x08\x0b-\x1f\x7f]/;

/** Directories that may hold the properties file, in the order they are looked at. */
export function propertiesDirectories(env: NodeJS.ProcessEnv): string[] {
  const home = env['EXTERNAL_SPARK_HOME'];
  const directories = [env['SPARK_CONF_DIR'], env['EXTERNAL_SPARK_CONF_DIR'], env['HADOOP_CONF_DIR'], home === undefined ? undefined : join(home, 'conf')];
  return directories.filter((directory): directory is string => directory !== undefined && directory !== '');
}

/** First `common.properties` found in SPARK_CONF_DIR, EXTERNAL_SPARK_CONF_DIR, HADOOP_CONF_DIR, $EXTERNAL_SPARK_HOME/conf, in this order. */
export function findPropertiesFile(env: NodeJS.ProcessEnv): string | undefined {
  return propertiesDirectories(env)
    .map((directory) => join(directory, PROPERTIES_FILE))
    .find((path) => existsSync(path));
}

/**
 * Reads a Java-style properties file: `key = value`, `key: value` or `key value`, # and ! comments, CRLF and BOM allowed; at most 1 MiB.
 * @throws SP_CONFIG_UNREADABLE, SP_CONFIG_BAD_LINE, SP_CONFIG_DUPLICATE_KEY (with file and line)
 */
export function readProperties(path: string): Settings {
  return parseProperties(contentOf(path), path);
}

function contentOf(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw CONFIG_ERRORS.UNREADABLE({ path, reason: (cause as Error).message }, cause);
  }
  if (bytes.length > MAX_BYTES) throw CONFIG_ERRORS.UNREADABLE({ path, reason: `it has ${bytes.length} bytes, the limit is ${MAX_BYTES}` });
  return bytes.toString('utf8');
}

/** What `readProperties` does, for content that is not in a file yet; `path` is what errors name. */
export function parseProperties(content: string, path: string): Settings {
  const settings = new Map<string, Setting>();
  const firstAt = new Map<string, number>();
  linesOf(content).forEach((line, index) => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith('!')) return;
    const where = `${path}:${index + 1}`;
    const match = LINE.exec(trimmed);
    if (match === null || CONTROL.test(trimmed)) throw CONFIG_ERRORS.BAD_LINE({ where, line: trimmed });
    const [, name, value] = match as unknown as [string, string, string];
    if (firstAt.has(name)) throw CONFIG_ERRORS.DUPLICATE_KEY({ key: name, where, first: firstAt.get(name) });
    firstAt.set(name, index + 1);
    settings.set(name, { value, where });
  });
  return settings;
}

function linesOf(content: string): string[] {
  return content.replace(/^\ufeff/, '').split(/\r?\n/);
}

/**
 * The content of a properties file with one key set, or removed (`value` undefined); everything else stays as it was written.
 * @throws SP_CONFIG_BAD_LINE when the key or the value cannot stand in one line
 */
export function editProperties(content: string, key: string, value: string | undefined, path: string): string {
  const line = value === undefined ? undefined : `${key} = ${value}`;
  if (line !== undefined && (/[\r\n]/.test(line) || CONTROL.test(line) || LINE.exec(line)?.[1] !== key || line !== line.trimEnd()))
    throw CONFIG_ERRORS.BAD_LINE({ where: path, line });
  const end = content.includes('\r\n') ? '\r\n' : '\n';
  const bom = content.startsWith('\ufeff') ? '\ufeff' : '';
  const lines = linesOf(content);
  const at = lines.findIndex((known) => !/^\s*[#!]/.test(known) && LINE.exec(known.trim())?.[1] === key);
  if (at >= 0) lines.splice(at, 1, ...(line === undefined ? [] : [line]));
  else if (line !== undefined) lines.splice(lines.at(-1) === '' ? lines.length - 1 : lines.length, 0, line);
  if (lines.at(-1) !== '') lines.push('');
  return bom + lines.join(end);
}

/** Replaces a file in one step: readers see the old content or the new one, and a crash leaves one of them. */
export function replaceFile(path: string, content: string, newMode = 0o644): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  const mode = existsSync(path) ? statSync(path).mode & 0o777 : newMode;
  try {
    const file = openSync(temporary, 'w', mode);
    try {
      writeSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw CONFIG_ERRORS.UNWRITABLE({ path, reason: (cause as Error).message }, cause);
  }
}
