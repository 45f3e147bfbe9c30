/** Edits of the properties file take effect while the process runs: when it changes, on SIGHUP, or when asked. */
import { existsSync, watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import { systemClock, type Clock, type Timer } from './clock.ts';
import { loadConfiguration, type Configuration, type ConfigurationSources } from './config.ts';
import { SparkProxyError } from './errors.ts';
import { createLogger, setLogLevel, type Logger } from './logger.ts';
import { findPropertiesFile, PROPERTIES_FILE, propertiesDirectories } from './properties.ts';

/** An editor writes in several steps: the file is read when it has been quiet for so long, milliseconds. */
const QUIET_MS = 100;

export interface ConfigurationWatch {
  /** Reads the file again now; false when it was refused and the old values stay. */
  reload(): boolean;
  close(): void;
}

export interface WatchOptions {
  /** SIGHUP means "read again" (services); a program's own terminal keeps its meaning otherwise. @defaultValue false */
  readonly signal?: boolean;
  /** @defaultValue systemClock */
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/**
 * Keeps `configuration` as its `sources` say. A file that is wrong anywhere, or has gone, is refused as a whole and told with its line:
 * the old values stay. Watching keeps no process alive. Of keys that need a new start the log says so.
 */
export function watchConfiguration(configuration: Configuration, sources: ConfigurationSources, options: WatchOptions = {}): ConfigurationWatch {
  const { clock = systemClock, logger = createLogger('configuration') } = options;
  const env = sources.env ?? process.env;
  const fileNow = (): string | undefined => sources.propertiesFile ?? findPropertiesFile(env);
  let hadFile = fileNow() !== undefined;
  let timer: Timer | undefined;

  const reload = (): boolean => {
    const file = fileNow();
    if (file === undefined && hadFile) {
      logger.error('the properties file has gone; the old values stay');
      return false;
    }
    hadFile = file !== undefined;
    let next: Configuration;
    try {
      next = loadConfiguration(sources);
    } catch (error) {
      if (!SparkProxyError.is(error)) throw error;
      logger.error(`an edit is refused, the old values stay: ${error.message}`, { code: error.code });
      return false;
    }
    const { changed, needStart } = configuration.take(next);
    if (changed.includes('log.level')) setLogLevel(configuration.get('log.level'));
    if (changed.length > 0) logger.info('changed', { keys: changed.join(', '), file: file ?? '' });
    if (needStart.length > 0) logger.warn('changed, but read only at the start of a process', { keys: needStart.join(', '), file: file ?? '' });
    return true;
  };

  const soon = (): void => {
    timer?.cancel();
    timer = clock.after(QUIET_MS, reload, { background: true });
  };
  const watchers: FSWatcher[] = [];
  // Directories, not the file: an editor that replaces it would leave us with the old one.
  const file = sources.propertiesFile === undefined ? PROPERTIES_FILE : basename(sources.propertiesFile);
  const watched = sources.propertiesFile === undefined ? propertiesDirectories(env) : [dirname(sources.propertiesFile)];
  for (const path of new Set(watched)) {
    if (!existsSync(path)) continue;
    const watcher = watch(path, { persistent: false }, (_event, name) => {
      if (name === null || name === file) soon();
    });
    watcher.on('error', (error) => logger.warn('the properties file is no longer watched', { path, error: error.message }));
    watchers.push(watcher);
  }
  const onSignal = (): void => void reload();
  if (options.signal === true) process.on('SIGHUP', onSignal);
  return {
    reload,
    close() {
      timer?.cancel();
      for (const watcher of watchers) watcher.close();
      process.removeListener('SIGHUP', onSignal);
    },
  };
}
