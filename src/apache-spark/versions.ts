/** Installed Sparks, and which of them fits an application. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { sparkErrors } from './errors.ts';

export interface SparkInstallation {
  readonly home: string;
  /** `4.0.1` */
  readonly version: string;
  /** `2.13` */
  readonly scala: string;
}

/** Label of a worker: the Sparks it has, `4.0.1/2.13,3.5.9/2.12`. */
export const VERSIONS_LABEL = 'spark.versions';

const CORE_JAR = /^spark-core_(\d+\.\d+)-(\d[\w.-]*)\.jar$/;

/** @throws SP_SPARK_BAD_HOME */
export function inspectHome(home: string): SparkInstallation {
  let files: string[];
  try {
    files = readdirSync(join(home, 'jars'));
  } catch (cause) {
    throw sparkErrors.BAD_HOME({ home, reason: 'it has no directory jars' }, cause);
  }
  for (const file of files) {
    const match = CORE_JAR.exec(file);
    if (match !== null) return { home, scala: match[1] as string, version: match[2] as string };
  }
  throw sparkErrors.BAD_HOME({ home, reason: 'its jars hold no spark-core' });
}

export function versionsLabel(installations: readonly SparkInstallation[]): string {
  return installations.map(({ version, scala }) => `${version}/${scala}`).join(',');
}

export function parseVersionsLabel(label: string | undefined): { readonly version: string; readonly scala: string }[] {
  return (label ?? '').split(',').flatMap((part) => {
    const [version, scala] = part.split('/');
    return version && scala ? [{ version, scala }] : [];
  });
}

const minor = (version: string): string => version.split('.').slice(0, 2).join('.');

/**
 * The same version, or else another of the same line (4.0.x): Spark's RPC serializes classes of its own, which change between
 * lines and not within one. Scala's binary version must be the same.
 */
export function fittingVersion<T extends { readonly version: string; readonly scala: string }>(
  installed: readonly T[],
  version: string,
  scala: string,
): T | undefined {
  const binary = minor(scala);
  const same = installed.filter((one) => one.scala === binary || scala === '');
  return same.find((one) => one.version === version) ?? same.find((one) => minor(one.version) === minor(version));
}
