import { totalmem } from 'node:os';
import { join } from 'node:path';
import { listOf, type Configuration } from '../core/config.ts';
import { createLogger } from '../core/logger.ts';
import { createSparkRunner, inspectHome, openForWorker, splitOptions, type SparkInstallation, type SparkRunner } from '../apache-spark/index.ts';
import { keyRingOf } from '../security/index.ts';

const logger = createLogger('worker');

/** Share of the machine's memory that executors may have where nothing else is said; the rest is for Python and the system. */
const MEMORY_SHARE = 0.8;

/** Sparks of this worker: `spark.homes`, else SPARK_HOME where it holds one. @throws SP_SPARK_BAD_HOME */
export function sparkInstallations(homes: string | undefined, sparkHome: string | undefined): SparkInstallation[] {
  const named = (homes ?? '').split(',').flatMap((home) => (home.trim() === '' ? [] : [home.trim()]));
  if (named.length > 0) return named.map(inspectHome);
  return sparkHome === undefined || sparkHome === '' ? [] : [inspectHome(sparkHome)];
}

/** Asked when an executor starts: edits count for those that start from then on. */
function sparkClassPath(configuration: Configuration): string[] {
  const service = configuration.get('shuffle.service.jar');
  return [...listOf(configuration.get('application.jars')), ...(service === undefined ? [] : [service])];
}

/** The runner of Spark's tasks, where this worker has a Spark. */
export async function createConfiguredSparkRunner(
  configuration: Configuration,
  worker: { readonly id: string; readonly slots: number; readonly host: string; readonly directory: string },
): Promise<SparkRunner | undefined> {
  const named = configuration.get('spark.homes');
  try {
    return await createRunner(configuration, worker, sparkInstallations(named, process.env['SPARK_HOME']));
  } catch (error) {
    // Who names a Spark wants its tasks; a SPARK_HOME that happens to be set must not keep a worker from running others.
    if (named !== undefined) throw error;
    logger.warn('this worker runs no tasks of Apache Spark', { error: (error as Error).message });
    return undefined;
  }
}

async function createRunner(
  configuration: Configuration,
  worker: { readonly id: string; readonly slots: number; readonly host: string; readonly directory: string },
  installations: readonly SparkInstallation[],
): Promise<SparkRunner | undefined> {
  if (installations.length === 0) return undefined;
  const ring = keyRingOf(configuration);
  return await createSparkRunner({
    workerId: worker.id,
    slots: worker.slots,
    memoryMiB: Math.floor((configuration.get('worker.spark.memory') ?? totalmem() * MEMORY_SHARE) / 1024 ** 2),
    host: worker.host,
    // Not the directory itself: what the thread pool removes when an application leaves the register center has its name there.
    directory: join(worker.directory, 'spark-executors'),
    installations,
    idleMs: configuration.get('worker.spark.idle'),
    unseal: ring === undefined ? undefined : (sealed, application) => openForWorker(sealed, application, ring),
    classPath: () => sparkClassPath(configuration),
    javaOptions: splitOptions(configuration.get('worker.spark.java.options')),
  });
}
