/** A real ResourceManager and NodeManager for tests, both in one JVM: Hadoop's MiniYARNCluster. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CACHE, COMPONENTS } from '../../tools/components.ts';
import { JAVA_MODULE_OPTIONS, sparkEnvironment, sparkHome, startProgram, type SparkCluster } from './spark.ts';

const FOLDER = fileURLToPath(new URL('yarn/', import.meta.url));
const JARS = join(CACHE, 'yarn-minicluster');

/** Jars of the cluster, fetched by Maven on first use (56 MB). */
function fetchJars(): string {
  if (existsSync(JARS)) return JARS;
  const part = `${JARS}.${process.pid}`;
  execFileSync(COMPONENTS.maven.find() as string, ['-q', '-B', '-f', join(FOLDER, 'pom.xml'), 'dependency:copy-dependencies', `-DoutputDirectory=${part}`], {
    stdio: 'pipe',
  });
  renameSync(part, JARS);
  return JARS;
}

export interface YarnCluster extends SparkCluster {
  /** HADOOP_CONF_DIR of its clients. */
  readonly conf: string;
}

export async function startYarn(home: string = sparkHome()): Promise<YarnCluster> {
  const jars = fetchJars();
  const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-yarn-'));
  const conf = join(directory, 'conf');
  mkdirSync(conf);
  const own = readdirSync(join(home, 'jars')).filter((name) => /^(hadoop-client-|slf4j-api|log4j-|jcl-over)/.test(name));
  const classPath = [join(jars, '*'), ...own.map((name) => join(home, 'jars', name))].join(delimiter);
  const args = [...JAVA_MODULE_OPTIONS, '-Xmx512m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', classPath, join(FOLDER, 'MiniYarn.java')];
  const program = startProgram('java', [...args, join(directory, 'work'), conf], sparkEnvironment(home), directory);
  const stop = async (): Promise<void> => {
    await program.stop();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await program.printed(/^READY$/m);
    return { master: 'yarn', home, conf, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
