/**
 * What the tests and benches use beside Node: where it is found, and which package brings it.
 * Shared by `npm run services`, which installs what is missing, and by the tests, which skip loudly without it.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchSpark, findSpark, SPARK_VERSION } from './spark.ts';

/** Where fetched components (Spark, Kafka, peers of benches) are kept. */
export const CACHE = fileURLToPath(new URL('../.cache/', import.meta.url));

export interface Component {
  readonly name: string;
  /** What brings it: packages of Debian and Ubuntu. */
  readonly debian: readonly string[];
  /** Where no package brings it: puts it into the cache. Gives its path. */
  fetch?(): string;
  /** Path of its main program, or undefined. */
  find(): string | undefined;
}

/** First executable of that name on the PATH or in `more` directories. */
export function findProgram(name: string, more: readonly string[] = []): string | undefined {
  for (const directory of [...more, ...(process.env['PATH'] ?? '').split(delimiter)]) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** Debian keeps the servers of PostgreSQL off the PATH, a directory a version. */
function postgresDirectories(): string[] {
  const root = '/usr/lib/postgresql';
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(root, version, 'bin'));
}

/** Spark 4 runs on Java 17 and newer. */
function findJava(program: string): string | undefined {
  const home = process.env['JAVA_HOME'];
  const path = findProgram(program, home === undefined ? [] : [join(home, 'bin')]);
  if (path === undefined) return undefined;
  try {
    const version = /(\d+)/.exec(execFileSync(path, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))?.[1];
    return Number(version) >= 17 ? path : undefined;
  } catch {
    return undefined;
  }
}

export const COMPONENTS = {
  redis: { name: 'Redis', debian: ['redis-server'], find: () => findProgram('redis-server') },
  rabbitmq: { name: 'RabbitMQ', debian: ['rabbitmq-server'], find: () => findProgram('rabbitmq-server', ['/usr/lib/rabbitmq/bin']) },
  postgresql: { name: 'PostgreSQL', debian: ['postgresql'], find: () => findProgram('postgres', postgresDirectories()) },
  java: { name: 'Java 17', debian: ['openjdk-17-jdk-headless'], find: () => findJava('javac') },
  maven: { name: 'Maven', debian: ['maven'], find: () => findProgram('mvn') },
  python: { name: 'Python 3', debian: ['python3', 'python3-venv'], find: () => findProgram('python3') },
  openssl: { name: 'OpenSSL', debian: ['openssl'], find: () => findProgram('openssl') },
  spark: { name: `Apache Spark ${SPARK_VERSION}`, debian: ['openjdk-17-jdk-headless', 'python3-venv'], find: () => findSpark(), fetch: () => fetchSpark() },
} as const satisfies Record<string, Component>;

export type ComponentName = keyof typeof COMPONENTS;
