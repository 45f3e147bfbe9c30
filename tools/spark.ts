/**
 * Apache Spark for tests, benches and `npm run services`: SPARK_HOME where it is set, else a distribution in the cache, made
 * from PyPI's source package of PySpark, which holds all of Spark's own (jars with YARN, programs, Python library, examples).
 *
 * `node tools/spark.ts [VERSION...]` fetches versions and prints their homes.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CACHE = fileURLToPath(new URL('../.cache/', import.meta.url));

/** The version that tests use by default. */
export const SPARK_VERSION = '4.0.1';
/** The oldest and the newest line the agent is for, tried by `npm run test:spark`. */
export const SPARK_COMPATIBILITY: readonly string[] = ['3.5.9', SPARK_VERSION, '4.3.0'];

/** Version of the Spark that lies there, by its core jar; undefined: no Spark. */
export function sparkVersionOf(home: string): string | undefined {
  const jars = join(home, 'jars');
  if (!existsSync(jars)) return undefined;
  for (const name of readdirSync(jars)) {
    const version = /^spark-core_[\d.]+-(.+)\.jar$/.exec(name)?.[1];
    if (version !== undefined) return version;
  }
  return undefined;
}

/** Home of an installed Spark: of that version, or without one SPARK_HOME's, else the default's. Undefined: there is none. */
export function findSpark(version?: string): string | undefined {
  const own = process.env['SPARK_HOME'];
  if (own !== undefined && own !== '') {
    const found = sparkVersionOf(own);
    if (found !== undefined && (version === undefined || version === found)) return own;
  }
  const cached = join(CACHE, `spark-${version ?? SPARK_VERSION}`);
  return sparkVersionOf(cached) === undefined ? undefined : cached;
}

/** Programs of the source package have no execute bit in every version. */
function makeExecutable(directory: string): void {
  for (const name of readdirSync(directory)) if (!name.endsWith('.cmd')) chmodSync(join(directory, name), 0o755);
}

/**
 * Home of that Spark, fetched where it is missing (some 450 MB). The home appears whole or not at all.
 * @throws Error with the output of pip or tar
 */
export function fetchSpark(version: string = SPARK_VERSION): string {
  const found = findSpark(version);
  if (found !== undefined) return found;
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, 'fetch-spark-'));
  const run = (command: string, ...args: string[]): void => {
    execFileSync(command, args, { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  try {
    // A virtual environment has pip where the system's Python has none.
    run('python3', '-m', 'venv', 'venv');
    run('venv/bin/pip', 'download', '--quiet', '--disable-pip-version-check', '--no-cache-dir', '--no-deps', '--no-binary', ':all:', `pyspark==${version}`);
    run('tar', 'xzf', `pyspark-${version}.tar.gz`);
    const source = join(work, `pyspark-${version}`);
    const home = join(work, 'home');
    mkdirSync(join(home, 'python'), { recursive: true });
    mkdirSync(join(home, 'examples', 'src', 'main'), { recursive: true });
    for (const name of ['bin', 'sbin', 'jars', 'data', 'licenses']) renameSync(join(source, 'deps', name), join(home, name));
    renameSync(join(source, 'deps', 'examples'), join(home, 'examples', 'src', 'main', 'python'));
    renameSync(join(source, 'lib'), join(home, 'python', 'lib'));
    cpSync(join(source, 'pyspark'), join(home, 'python', 'pyspark'), { recursive: true });
    makeExecutable(join(home, 'bin'));
    makeExecutable(join(home, 'sbin'));
    mkdirSync(join(home, 'conf'));
    writeFileSync(join(home, 'RELEASE'), `Spark ${version}, from PyPI's source package of PySpark\n`);
    const target = join(CACHE, `spark-${version}`);
    rmSync(target, { recursive: true, force: true });
    renameSync(home, target);
    return target;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const versions = process.argv.slice(2);
  for (const version of versions.length > 0 ? versions : [SPARK_VERSION]) console.log(fetchSpark(version));
}
