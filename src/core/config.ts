/** Effective configuration: defaults < properties file < Spark conf < environment < flags, each value with where it came from. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CONFIG_KEYS, type ConfigKey, type ConfigValue } from './config-schema.ts';
import { defineErrors } from './errors.ts';

export const CONFIG_ERRORS = defineErrors('CONFIG', {
  UNKNOWN_KEY: ['unknown configuration key {key} ({where})', '{hint}'],
  BAD_VALUE: ['{key} = {value} is not valid: {reason} ({where})', 'see `spark-proxy conf` for every key, its meaning and its default'],
  BAD_LINE: ['{where}: not a property: {line}', 'write one `key = value` a line; comments begin with # or !'],
  DUPLICATE_KEY: ['{key} is set twice ({where}, first at line {first})', 'keep one of the two lines'],
  UNREADABLE: ['{path} cannot be read: {reason}', 'check the path and its permissions'],
});

/** One value and where it came from, such as `common.properties:12`, `environment`, `SparkConf`, `default`. */
export interface Setting {
  readonly value: string;
  readonly where: string;
}

export type Settings = ReadonlyMap<string, Setting>;

/** Keys of ours; others beginning with `spark.` belong to the program or to Spark and are passed through. */
function isKnown(key: string): key is ConfigKey {
  return Object.hasOwn(CONFIG_KEYS, key);
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

function suggestion(key: string): string {
  const near = Object.keys(CONFIG_KEYS)
    .map((known) => [distance(key, known), known] as const)
    .sort((a, b) => a[0] - b[0])[0];
  return near !== undefined && near[0] <= 4 ? `did you mean ${near[1]}?` : 'see `spark-proxy conf` for every key';
}

/**
 * Reads a Java-style properties file: `key = value`, `key: value` or `key value`, # and ! comments, CRLF and BOM allowed.
 * @throws SP_CONFIG_UNREADABLE, SP_CONFIG_BAD_LINE, SP_CONFIG_DUPLICATE_KEY, SP_CONFIG_UNKNOWN_KEY (with file and line)
 */
export function readProperties(path: string): Settings {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (cause) {
    throw CONFIG_ERRORS.UNREADABLE({ path, reason: (cause as Error).message }, cause);
  }
  const settings = new Map<string, Setting>();
  const lines = content.replace(/^\ufeff/, '').split(/\r?\n/);
  const firstAt = new Map<string, number>();
  lines.forEach((line, index) => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith('!')) return;
    const where = `${path}:${index + 1}`;
    const match = /^([\w.-]+)\s*(?:[=:]|\s)\s*(.*)$/.exec(trimmed);
    if (match === null) throw CONFIG_ERRORS.BAD_LINE({ where, line: trimmed });
    const [, name, value] = match as unknown as [string, string, string];
    if (firstAt.has(name)) throw CONFIG_ERRORS.DUPLICATE_KEY({ key: name, where, first: firstAt.get(name) });
    firstAt.set(name, index + 1);
    settings.set(name, { value, where });
  });
  return settings;
}

/** `reschedule.dst.executor` -> `SPARK_PROXY_RESCHEDULE_DST_EXECUTOR`: prefixed, so that no other tool's LOG_LEVEL is taken for ours. */
export function environmentName(key: string): string {
  return `SPARK_PROXY_${key.toUpperCase().replace(/[.-]/g, '_')}`;
}

/** Settings from environment variables named after the keys. */
export function fromEnvironment(env: NodeJS.ProcessEnv): Settings {
  const settings = new Map<string, Setting>();
  for (const key of Object.keys(CONFIG_KEYS)) {
    const name = environmentName(key);
    const value = env[name];
    if (value !== undefined) settings.set(key, { value, where: `environment ${name}` });
  }
  return settings;
}

/** Settings from plain pairs, such as flags or a SparkConf; `spark.proxy.` in front of a key of ours is dropped. */
export function fromPairs(pairs: Iterable<readonly [string, string]>, where: string): Settings {
  const settings = new Map<string, Setting>();
  for (const [key, value] of pairs) {
    const bare = key.startsWith('spark.proxy.') ? key.slice('spark.proxy.'.length) : key;
    settings.set(isKnown(bare) ? bare : key, { value, where });
  }
  return settings;
}

/** First `common.properties` found in SPARK_CONF_DIR, EXTERNAL_SPARK_CONF_DIR, HADOOP_CONF_DIR, $EXTERNAL_SPARK_HOME/conf, in this order. */
export function findPropertiesFile(env: NodeJS.ProcessEnv): string | undefined {
  const home = env['EXTERNAL_SPARK_HOME'];
  const directories = [env['SPARK_CONF_DIR'], env['EXTERNAL_SPARK_CONF_DIR'], env['HADOOP_CONF_DIR'], home === undefined ? undefined : join(home, 'conf')];
  return directories.flatMap((d) => (d === undefined ? [] : [join(d, 'common.properties')])).find((path) => existsSync(path));
}

/** A URL as it may be shown. */
export function withoutPassword(url: string): string {
  return url.replace(/^([\w+.-]+:\/\/[^:@/]*):[^@/]*@/, '$1:***@');
}

export class Configuration {
  readonly #settings: ReadonlyMap<string, Setting>;
  readonly #parsed = new Map<string, unknown>();

  /** Later layers win. @throws SP_CONFIG_UNKNOWN_KEY, SP_CONFIG_BAD_VALUE */
  constructor(...layers: readonly Settings[]) {
    const settings = new Map<string, Setting>();
    for (const layer of layers) for (const [key, setting] of layer) settings.set(key, setting);
    for (const [key, { value, where }] of settings) {
      if (!isKnown(key)) {
        if (key.startsWith('spark.') && !key.startsWith('spark.proxy.')) continue;
        throw CONFIG_ERRORS.UNKNOWN_KEY({ key, where, hint: suggestion(key) });
      }
      const result = CONFIG_KEYS[key].parse.safeParse(value);
      if (!result.success) {
        throw CONFIG_ERRORS.BAD_VALUE({
          key,
          value: value === '' ? '(empty)' : withoutPassword(value),
          reason: result.error.issues.map((i) => i.message).join('; '),
          where,
        });
      }
      this.#parsed.set(key, result.data);
    }
    this.#settings = settings;
  }

  get<K extends ConfigKey>(key: K): ConfigValue<K> {
    if (this.#parsed.has(key)) return this.#parsed.get(key) as ConfigValue<K>;
    const fallback = CONFIG_KEYS[key].default;
    return (fallback === undefined ? undefined : CONFIG_KEYS[key].parse.parse(fallback)) as ConfigValue<K>;
  }

  /** True when somebody set it. */
  has(key: string): boolean {
    return this.#settings.has(key);
  }

  /** Every key of ours with its effective value and where it came from. */
  effective(): readonly { readonly key: string; readonly value: string | undefined; readonly where: string; readonly doc: string }[] {
    return Object.entries(CONFIG_KEYS).map(([key, { default: fallback, doc }]) => {
      const setting = this.#settings.get(key);
      const value = setting?.value ?? fallback;
      return { key, value: value === undefined ? undefined : withoutPassword(value), where: setting?.where ?? 'default', doc };
    });
  }
}

/** Configuration of this process: properties file, `conf` (a SparkConf's pairs), environment, flags. */
export function loadConfiguration(options: {
  readonly env?: NodeJS.ProcessEnv;
  readonly conf?: Iterable<readonly [string, string]>;
  readonly flags?: Iterable<readonly [string, string]>;
  readonly propertiesFile?: string;
}): Configuration {
  const env = options.env ?? process.env;
  const path = options.propertiesFile ?? findPropertiesFile(env);
  return new Configuration(
    path === undefined ? new Map() : readProperties(path),
    fromPairs(options.conf ?? [], 'SparkConf'),
    fromEnvironment(env),
    fromPairs(options.flags ?? [], 'command line'),
  );
}
