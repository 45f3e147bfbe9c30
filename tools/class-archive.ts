/**
 * Classes of a Spark as the JVM has them when loaded (class data sharing): with it a JVM of a test starts with less
 * processor time. `npm run services` makes it; without it tests only take longer.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CACHE = fileURLToPath(new URL('../.cache/java/', import.meta.url));
const WARM = fileURLToPath(new URL('warm-spark.py', import.meta.url));
/** The archive holds no class of a master it was not made with: those of a driver alone, and of one with executors. */
const MASTERS = ['local[2]', 'local-cluster[1,1,512]'];

const versions = new Map<string, string>();

/** An archive is for one build of Java. */
function javaVersion(): string {
  const home = process.env['JAVA_HOME'];
  const java = home === undefined ? 'java' : join(home, 'bin', 'java');
  let version = versions.get(java);
  if (version === undefined) versions.set(java, (version = execFileSync(java, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })));
  return version;
}

function archiveOf(sparkHome: string): string {
  return join(CACHE, `${createHash('sha256').update(`${sparkHome}\n${javaVersion()}`).digest('hex').slice(0, 16)}.jsa`);
}

/** JVM options that use the archive of this Spark; none if there is no archive. Its class path must begin as spark-submit's does. */
export function archiveOptions(sparkHome: string): readonly string[] {
  const file = archiveOf(sparkHome);
  // A class path of another kind is told otherwise, on the standard output.
  return existsSync(file) ? [`-XX:SharedArchiveFile=${file}`, '-Xlog:disable'] : [];
}

/** Makes it where it is missing (a minute). Undefined: it stands; else what went wrong. */
export function makeArchive(sparkHome: string): string | undefined {
  const file = archiveOf(sparkHome);
  if (existsSync(file)) return undefined;
  mkdirSync(dirname(file), { recursive: true });
  const directory = mkdtempSync(join(CACHE, 'make-'));
  const made = join(directory, 'made.jsa');
  try {
    const settings = {
      'spark.ui.enabled': 'false',
      'spark.driver.host': '127.0.0.1',
      'spark.driver.memory': '600m',
      'spark.driver.extraJavaOptions': `-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ArchiveClassesAtExit=${made} -Xlog:disable`,
    };
    const flags = Object.entries(settings).flatMap(([key, value]) => ['--conf', `${key}=${value}`]);
    const env: NodeJS.ProcessEnv = { ...process.env, SPARK_HOME: sparkHome, SPARK_LOCAL_IP: '127.0.0.1', PYSPARK_PYTHON: 'python3' };
    delete env['SPARK_CONF_DIR'];
    const { status, stderr } = spawnSync(join(sparkHome, 'bin', 'spark-submit'), [...flags, WARM, ...MASTERS], { cwd: directory, env, encoding: 'utf8' });
    if (status !== 0 || !existsSync(made)) return `spark-submit ended with ${status}\n${stderr.slice(-2000)}`;
    renameSync(made, file);
    return undefined;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
