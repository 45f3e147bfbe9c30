/** A real Celeborn master and worker for tests, from CELEBORN_HOME or a folder beside the checkout. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './server-process.ts';
import { JAVA_MODULE_OPTIONS, sparkEnvironment, sparkHome, startProgram, type Program } from './spark.ts';

export interface CelebornFiles {
  /** Class path entries of its servers. */
  readonly servers: readonly string[];
  /** Its client for Spark 4 with Scala 2.13. */
  readonly client: string;
}

export function findCeleborn(): CelebornFiles | undefined {
  const homes = [process.env['CELEBORN_HOME'], fileURLToPath(new URL('../../../shared/celeborn/', import.meta.url))];
  for (const home of homes) {
    if (home === undefined || !existsSync(join(home, 'jars'))) continue;
    const client = [home, join(home, 'spark')]
      .filter((folder) => existsSync(folder))
      .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
      .find((path) => /celeborn-client-spark-4-shaded_2\.13-.*\.jar$/.test(path));
    const servers = ['jars', 'master-jars', 'worker-jars'].map((name) => join(home, name)).filter((folder) => existsSync(folder));
    if (client !== undefined) return { servers: servers.map((folder) => join(folder, '*')), client };
  }
  return undefined;
}

export interface CelebornCluster {
  /** What an application sets to shuffle through it. */
  readonly conf: Readonly<Record<string, string>>;
  /** Files of shuffle data that it holds for now. */
  shuffleFiles(): string[];
  stop(): Promise<void>;
}

export async function startCeleborn({ servers, client }: CelebornFiles): Promise<CelebornCluster> {
  const home = sparkHome();
  const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-celeborn-'));
  const storage = join(directory, 'storage');
  mkdirSync(storage);
  const [port, masterHttp, workerHttp] = [await freePort(), await freePort(), await freePort()];
  const properties = {
    'celeborn.master.endpoints': `127.0.0.1:${port}`,
    'celeborn.master.host': '127.0.0.1',
    'celeborn.master.port': port,
    'celeborn.master.http.host': '127.0.0.1',
    'celeborn.master.http.port': masterHttp,
    'celeborn.worker.http.host': '127.0.0.1',
    'celeborn.worker.http.port': workerHttp,
    'celeborn.worker.storage.dirs': `${storage}:disktype=HDD`,
    'celeborn.storage.availableTypes': 'HDD',
    'celeborn.worker.storage.disk.reserve.size': '1G',
    'celeborn.network.bind.preferIpAddress': true,
    'celeborn.metrics.enabled': false,
    'celeborn.worker.graceful.shutdown.enabled': false,
  };
  const file = join(directory, 'celeborn.conf');
  writeFileSync(
    file,
    Object.entries(properties)
      .map(([key, value]) => `${key} ${value}\n`)
      .join(''),
  );
  // Without it they say nothing, not even that they are ready.
  const logging = join(directory, 'log4j2.properties');
  const lines = ['appender.console.type=Console', 'appender.console.name=console', 'appender.console.target=SYSTEM_ERR'];
  lines.push('appender.console.layout.type=PatternLayout', 'appender.console.layout.pattern=%p %c{1}: %m%n%ex');
  lines.push('rootLogger.level=info', 'rootLogger.appenderRef.console.ref=console');
  writeFileSync(logging, lines.join('\n'));
  const hadoop = readdirSync(join(home, 'jars')).filter((name) => /^hadoop-client-(api|runtime)-/.test(name));
  const classPath = [...servers, ...hadoop.map((name) => join(home, 'jars', name))].join(delimiter);
  const options = ['--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED', '--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED'];
  const jvm = [
    ...JAVA_MODULE_OPTIONS,
    ...options,
    `-Dlog4j2.configurationFile=${logging}`,
    '-XX:MaxDirectMemorySize=1g',
    '-Xmx512m',
    '-XX:TieredStopAtLevel=1',
    '-cp',
    classPath,
  ];
  const env = sparkEnvironment(home, { CELEBORN_LOCAL_HOSTNAME: '127.0.0.1', CELEBORN_CONF_DIR: directory });
  const started: Program[] = [];
  const start = (role: 'master.Master' | 'worker.Worker', ...args: string[]): Program => {
    const program = startProgram('java', [...jvm, `org.apache.celeborn.service.deploy.${role}`, ...args, '--properties-file', file], env, directory);
    started.push(program);
    return program;
  };
  const stop = async (): Promise<void> => {
    for (const program of started.toReversed()) await program.stop();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await start('master.Master', '--host', '127.0.0.1', '--port', String(port)).printed(/Master: Master started/);
    await start('worker.Worker').printed(/Worker: Worker started|Registered worker successfully|Register worker .* success/i);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    stop,
    conf: {
      'spark.jars': client,
      'spark.shuffle.manager': 'org.apache.spark.shuffle.celeborn.SparkShuffleManager',
      'spark.celeborn.master.endpoints': `127.0.0.1:${port}`,
      'spark.shuffle.service.enabled': 'false',
      'spark.serializer': 'org.apache.spark.serializer.KryoSerializer',
    },
    shuffleFiles: () =>
      readdirSync(storage, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name)),
  };
}
