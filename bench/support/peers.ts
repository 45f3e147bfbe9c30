import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { fetchSpark, findSpark, SPARK_VERSION } from '../../tools/spark.ts';
import { CACHE, PEERS, ROOT } from './paths.ts';

const run = promisify(execFile);
const INSTALL_MS = 600_000;

/** A peer, or why it is not here and what to do about it. */
export type Peer = { readonly path: string } | { readonly missing: string };

const CELERY_VERSION = '5.7.0';

export const SKALE = 'skale 1.2.2';
export const CELERY = `Celery ${CELERY_VERSION}`;
export const PYSPARK = `PySpark ${SPARK_VERSION}`;

function reason(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr?.trim() || message).split('\n').at(-1) as string;
}

/** What package.json of a folder names, installed there on first use; gives the path of one package. */
async function installed(folder: string, what: string, name: string): Promise<Peer> {
  const path = join(folder, 'node_modules', name);
  const complete = join(folder, 'node_modules', '.installed');
  if (existsSync(complete)) return { path };
  process.stderr.write(`installing ${what}...\n`);
  try {
    const args = ['install', '--ignore-scripts', '--legacy-peer-deps', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error'];
    await run('npm', args, { cwd: folder, timeout: INSTALL_MS });
    await writeFile(complete, '');
    return { path };
  } catch (error) {
    return { missing: `run \`npm ${['install', '--ignore-scripts', '--legacy-peer-deps'].join(' ')}\` in ${relative(ROOT, folder)} (${reason(error)})` };
  }
}

/** The folder of skale. It pins packages of 2018 whose scripts do not build today; it needs none of them. */
export const skale = (): Promise<Peer> => installed(PEERS, SKALE, 'skale');

/** Where aspect and instrumentation frameworks are installed, all of them. */
export const WEAVING_PEERS = join(PEERS, 'weaving');
export const weavingPeers = (): Promise<Peer> => installed(WEAVING_PEERS, 'aspect frameworks', '');

/** Where queues and pools are installed that tasks are dispatched by, all of them. */
export const DISPATCH_PEERS = join(PEERS, 'dispatch');
export const dispatchPeers = (): Promise<Peer> => installed(DISPATCH_PEERS, 'queues and pools', '');

/** The Python of an environment that has Celery, made on first use. */
export async function celery(): Promise<Peer> {
  const environment = join(CACHE, 'bench', `celery-${CELERY_VERSION}`);
  const path = join(environment, 'bin', 'python');
  const complete = join(environment, '.installed');
  if (existsSync(complete)) return { path };
  process.stderr.write(`installing ${CELERY}...\n`);
  try {
    await run('python3', ['-m', 'venv', environment], { timeout: INSTALL_MS });
    await run(path, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `celery[redis]==${CELERY_VERSION}`], { timeout: INSTALL_MS });
    await writeFile(complete, '');
    return { path };
  } catch (error) {
    return { missing: `install python3 with venv (Debian: python3-venv); \`pip install celery[redis]==${CELERY_VERSION}\` must work (${reason(error)})` };
  }
}

/** The Python that runs PySpark, whose Spark is fetched on first use. It needs python3 with venv, and Java 17. */
export async function pyspark(): Promise<Peer> {
  try {
    const java = process.env['JAVA_HOME'] === undefined ? 'java' : join(process.env['JAVA_HOME'], 'bin', 'java');
    await run(java, ['-version'], { timeout: 30_000 });
  } catch (error) {
    return { missing: `install Java 17 (Debian: openjdk-17-jre-headless) (${reason(error)})` };
  }
  try {
    if (findSpark(SPARK_VERSION) === undefined) process.stderr.write(`fetching ${PYSPARK}...\n`);
    fetchSpark(SPARK_VERSION);
    return { path: 'python3' };
  } catch (error) {
    return { missing: `install python3 with venv (Debian: python3-venv), then \`node tools/spark.ts\` must work (${reason(error)})` };
  }
}

/** PySpark finds itself and the Python of its workers here, and binds no more than the loopback. */
export function pysparkEnvironment(python: string): NodeJS.ProcessEnv {
  const home = findSpark(SPARK_VERSION);
  if (home === undefined) return {};
  const libraries = join(home, 'python', 'lib');
  const path = readdirSync(libraries).flatMap((name) => (name.endsWith('.zip') ? [join(libraries, name)] : []));
  return { SPARK_HOME: home, PYTHONPATH: path.join(delimiter), PYSPARK_PYTHON: python, PYSPARK_DRIVER_PYTHON: python, SPARK_LOCAL_IP: '127.0.0.1' };
}
