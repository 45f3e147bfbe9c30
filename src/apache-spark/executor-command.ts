/** The command line, environment and memory of an external executor: Spark's own CoarseGrainedExecutorBackend with our agent. */
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SparkAsk } from './announcement.ts';
import { sparkErrors } from './errors.ts';
import type { SparkInstallation } from './versions.ts';

/** The agent jar as the package ships it; EXTERNAL: SPARK_PROXY_AGENT_JAR names another. @throws SP_SPARK_NO_AGENT */
export function agentJar(): string {
  const file = process.env['SPARK_PROXY_AGENT_JAR'] ?? fileURLToPath(new URL('../../jvm/target/spark-proxy-agent.jar', import.meta.url));
  if (!existsSync(file)) throw sparkErrors.NO_AGENT({ file });
  return file;
}

/** What Spark needs of Java 17; org.apache.spark.launcher.JavaModuleOptions of 4.x. */
const MODULE_OPTIONS: readonly string[] = [
  '-XX:+IgnoreUnrecognizedVMOptions',
  '--add-modules=jdk.incubator.vector',
  ...[
    'java.base/java.lang',
    'java.base/java.lang.invoke',
    'java.base/java.lang.reflect',
    'java.base/java.io',
    'java.base/java.net',
    'java.base/java.nio',
    'java.base/java.util',
    'java.base/java.util.concurrent',
    'java.base/java.util.concurrent.atomic',
    'java.base/jdk.internal.ref',
    'java.base/sun.nio.ch',
    'java.base/sun.nio.cs',
    'java.base/sun.security.action',
    'java.base/sun.util.calendar',
    'java.security.jgss/sun.security.krb5',
  ].map((name) => `--add-opens=${name}=ALL-UNNAMED`),
  '-Djdk.reflect.useDirectMethodHandle=false',
  '-Dio.netty.tryReflectionSetAccessible=true',
];

const STARTUP = /^spark\.(?:rpc|network|auth)/;

/** A memory size as Spark writes it (`512m`, `1g`; a bare number is MiB), in MiB. */
export function sparkMiB(text: string | undefined, fallback: number): number {
  const match = /^\s*(\d+)\s*([kmgt]?)b?\s*$/i.exec(text ?? '');
  if (match === null) return fallback;
  const factor = { k: 1 / 1024, '': 1, m: 1, g: 1024, t: 1024 ** 2 }[(match[2] as string).toLowerCase()] as number;
  return Math.ceil(Number(match[1]) * factor);
}

const DEFAULT_HEAP_MIB = 1024;
const MIN_OVERHEAD_MIB = 384;

/** Heap, and what it takes in all: with Spark's overhead and the memory of Python, MiB. */
export function executorMemory(settings: Readonly<Record<string, string>>): { readonly heapMiB: number; readonly totalMiB: number } {
  const heapMiB = sparkMiB(settings['spark.executor.memory'], DEFAULT_HEAP_MIB);
  const overhead = sparkMiB(settings['spark.executor.memoryOverhead'], Math.max(MIN_OVERHEAD_MIB, Math.ceil(heapMiB * 0.1)));
  return { heapMiB, totalMiB: heapMiB + overhead + sparkMiB(settings['spark.executor.pyspark.memory'], 0) };
}

/** Java options as a shell would cut them, as far as quotes go. */
export function splitOptions(text: string): string[] {
  return [...text.matchAll(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g)].map(([word]) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'));
}

/** Spark 4 puts it before its other jars, some of which hold older copies; org.apache.spark.launcher.AbstractCommandBuilder. */
function loggingFirst(home: string): string[] {
  const jars = join(home, 'jars');
  if (!existsSync(jars)) return [];
  return readdirSync(jars).flatMap((name) => (name.startsWith('slf4j-api-') ? [join(jars, name)] : []));
}

export interface ExecutorStart {
  readonly ask: SparkAsk;
  readonly spark: SparkInstallation;
  /** A number no other executor of the application has. */
  readonly executorId: string;
  readonly workerId: string;
  /** Under which the driver and other executors reach it. */
  readonly host: string;
  readonly cores: number;
  /** For its files; it also runs there. */
  readonly directory: string;
  /** Where the worker listens, and what the executor shows it. */
  readonly link: string;
  readonly token: string;
  readonly secret: string | undefined;
  readonly agent: string;
  /** Jars and directories of the worker's own on its class path, behind those that the application names. */
  readonly classPath?: readonly string[];
  /** More of the worker's own, such as -XX flags. */
  readonly javaOptions: readonly string[];
}

export interface ExecutorCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** Secrets are in the environment only. The JVM's own defaults come first, the application's settings later. */
export function executorCommand(start: ExecutorStart): ExecutorCommand {
  const { ask, spark, executorId, workerId, host, cores, directory } = start;
  const { settings } = ask;
  const setting = (name: string): string => settings[`spark.executor.${name}`] ?? '';
  const fill = (text: string): string => text.replaceAll('{{APP_ID}}', ask.sparkId).replaceAll('{{EXECUTOR_ID}}', executorId);
  const javaHome = process.env['JAVA_HOME'];
  const classPath = [
    setting('extraClassPath'),
    ...(start.classPath ?? []),
    join(spark.home, 'conf'),
    ...loggingFirst(spark.home),
    join(spark.home, 'jars', '*'),
  ]
    .filter((part) => part !== '')
    .join(delimiter);
  const args = [
    '-cp',
    classPath,
    ...MODULE_OPTIONS,
    `-Xmx${executorMemory(settings).heapMiB}m`,
    ...start.javaOptions,
    ...splitOptions(fill(`${setting('defaultJavaOptions')} ${setting('extraJavaOptions')}`)).filter((option) => !option.startsWith('-javaagent:')),
    // Needed before the executor has fetched the rest of its configuration from the driver.
    ...Object.entries(settings).flatMap(([name, value]) => (STARTUP.test(name) ? [`-D${name}=${value}`] : [])),
    `-javaagent:${start.agent}`,
    'org.apache.spark.executor.CoarseGrainedExecutorBackend',
    ...['--driver-url', ask.driverUrl, '--executor-id', executorId, '--hostname', host, '--bind-address', host],
    ...['--cores', String(cores), '--app-id', ask.sparkId, '--resourceProfileId', '0'],
  ];
  const env: NodeJS.ProcessEnv = { ...process.env };
  for (const name of Object.keys(env)) if (/^(?:_?SPARK_|PYSPARK_GATEWAY)/.test(name)) delete env[name];
  for (const [name, value] of Object.entries(settings)) if (name.startsWith('spark.executorEnv.')) env[name.slice('spark.executorEnv.'.length)] = value;
  Object.assign(env, {
    SPARK_HOME: spark.home,
    SPARK_LOCAL_DIRS: directory,
    SPARK_EXECUTOR_DIRS: directory,
    SPARK_USER: env['SPARK_USER'] ?? process.env['USER'] ?? 'spark',
    SPARK_LOCAL_HOSTNAME: host,
    SPARK_EXECUTOR_ATTRIBUTE_SPARK_PROXY_WORKER: workerId,
    SPARK_EXECUTOR_ATTRIBUTE_SPARK_PROXY_EXECUTOR: executorId,
    SPARK_PROXY_LINK: start.link,
    SPARK_PROXY_TOKEN: start.token,
    ...(start.secret === undefined ? {} : { _SPARK_AUTH_SECRET: start.secret }),
  });
  const libraries = setting('extraLibraryPath');
  if (libraries !== '') env['LD_LIBRARY_PATH'] = [libraries, env['LD_LIBRARY_PATH']].filter(Boolean).join(delimiter);
  return { program: javaHome === undefined ? 'java' : join(javaHome, 'bin', 'java'), args, env };
}
