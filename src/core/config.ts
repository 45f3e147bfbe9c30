/** Effective configuration: defaults < properties file < Spark conf < environment < flags, each value with where it came from. */
import { CONFIG_ERRORS } from './config-errors.ts';
import { CONFIG_KEYS, LIVE_KEYS, type ConfigKey, type ConfigValue } from './config-schema.ts';
import { findPropertiesFile, readProperties, type Setting, type Settings } from './properties.ts';

export { findPropertiesFile, readProperties, type Setting, type Settings };

/** Keys of ours; others beginning with `spark.` belong to the program or to Spark and are passed through. */
function isKnown(key: string): key is ConfigKey {
  return Object.hasOwn(CONFIG_KEYS, key);
}

function isSecret(key: string): boolean {
  return isKnown(key) && CONFIG_KEYS[key].secret === true;
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

const defaults = new Map<ConfigKey, unknown>();

/** Parsed once: some keys are asked for each task. */
function defaultOf(key: ConfigKey): unknown {
  if (!defaults.has(key)) {
    const text = CONFIG_KEYS[key].default;
    defaults.set(key, text === undefined ? undefined : CONFIG_KEYS[key].parse.parse(text));
  }
  return defaults.get(key);
}

/** A URL as it may be shown. */
export function withoutPassword(url: string): string {
  return url.replace(/^([\w+.-]+:\/\/[^:@/]*):[^@/]*@/, '$1:***@');
}

export class Configuration {
  #settings: ReadonlyMap<string, Setting>;
  readonly #parsed = new Map<string, unknown>();
  readonly #listeners = new Set<(key: ConfigKey) => void>();

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
    return (this.#parsed.has(key) ? this.#parsed.get(key) : defaultOf(key)) as ConfigValue<K>;
  }

  /**
   * Takes over the values of another configuration for the keys that may change while a process runs (LIVE_KEYS), and tells listeners.
   * Returns the keys that changed, and those whose change needs a new start.
   */
  take(next: Configuration): { readonly changed: readonly ConfigKey[]; readonly needStart: readonly ConfigKey[] } {
    const differing = (Object.keys(CONFIG_KEYS) as ConfigKey[]).filter((key) => this.#text(key) !== next.#text(key));
    const live: ReadonlySet<string> = new Set(LIVE_KEYS);
    const changed = differing.filter((key) => live.has(key));
    const settings = new Map(this.#settings);
    for (const key of changed) {
      const setting = next.#settings.get(key);
      if (setting === undefined) settings.delete(key);
      else settings.set(key, setting);
      if (next.#parsed.has(key)) this.#parsed.set(key, next.#parsed.get(key));
      else this.#parsed.delete(key);
    }
    this.#settings = settings;
    for (const key of changed) for (const listener of this.#listeners) listener(key);
    return { changed, needStart: differing.filter((key) => !live.has(key)) };
  }

  /** Called with each key that `take` has changed; returns the unsubscribe function. */
  onChange(listener: (key: ConfigKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #text(key: ConfigKey): string | undefined {
    return this.#settings.get(key)?.value ?? CONFIG_KEYS[key].default;
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
      return { key, value: value === undefined ? undefined : isSecret(key) ? '(set)' : withoutPassword(value), where: setting?.where ?? 'default', doc };
    });
  }
}

/** The parts of a comma separated value. */
export function listOf(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Where the values of a process come from. */
export interface ConfigurationSources {
  readonly env?: NodeJS.ProcessEnv;
  readonly conf?: Iterable<readonly [string, string]>;
  readonly flags?: Iterable<readonly [string, string]>;
  readonly propertiesFile?: string;
}

/** Configuration of this process: properties file, `conf` (a SparkConf's pairs), environment, flags. */
export function loadConfiguration(sources: ConfigurationSources): Configuration {
  const env = sources.env ?? process.env;
  const path = sources.propertiesFile ?? findPropertiesFile(env);
  const flags = fromPairs(sources.flags ?? [], 'command line');
  for (const key of flags.keys()) if (isSecret(key)) throw CONFIG_ERRORS.SECRET_ON_COMMAND_LINE({ key, name: environmentName(key) });
  return new Configuration(path === undefined ? new Map() : readProperties(path), fromPairs(sources.conf ?? [], 'SparkConf'), fromEnvironment(env), flags);
}
