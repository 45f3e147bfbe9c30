/** How a Spark application is announced in the register center: what a worker needs to start an executor for it, as labels. */
import type { Registration } from '../registry/contract.ts';

/** Everything of a driver that its executors are started with. */
export interface SparkAsk {
  readonly application: string;
  /** Spark's own id, which its executors name. */
  readonly sparkId: string;
  readonly driverUrl: string;
  readonly sparkVersion: string;
  readonly scalaVersion: string;
  readonly mode: 'external' | 'internal';
  /** Settings of executors: spark.executor.memory, spark.executorEnv.X... */
  readonly settings: Readonly<Record<string, string>>;
  /** Spark's authentication secret, sealed for workers; empty: the application asks for none. */
  readonly sealedSecret: string;
  /** It asks for a secret. */
  readonly authenticated: boolean;
}

const PREFIX = 'spark.';
/** What executors are started with: as Spark's own isExecutorStartupConf, and what makes their process. Never the secret. */
const SETTING = /^spark\.(?:executor\.|executorEnv\.|task\.|rpc|network|auth(?!enticate\.secret))/;

export function sparkLabels(ask: SparkAsk): Record<string, string> {
  const labels: Record<string, string> = {
    [`${PREFIX}id`]: ask.sparkId,
    [`${PREFIX}driver.url`]: ask.driverUrl,
    [`${PREFIX}version`]: ask.sparkVersion,
    [`${PREFIX}scala`]: ask.scalaVersion,
    [`${PREFIX}mode`]: ask.mode,
    [`${PREFIX}authenticated`]: String(ask.authenticated),
  };
  if (ask.sealedSecret !== '') labels[`${PREFIX}secret`] = ask.sealedSecret;
  for (const [name, value] of Object.entries(ask.settings)) labels[`conf.${name}`] = value;
  return labels;
}

/** Undefined: an application that is none of Spark's. */
export function readSparkLabels({ id, labels }: Registration): SparkAsk | undefined {
  const driverUrl = labels[`${PREFIX}driver.url`];
  const sparkId = labels[`${PREFIX}id`];
  if (driverUrl === undefined || sparkId === undefined) return undefined;
  const settings: Record<string, string> = {};
  for (const [name, value] of Object.entries(labels)) {
    const setting = name.startsWith('conf.') ? name.slice('conf.'.length) : '';
    if (SETTING.test(setting)) settings[setting] = value;
  }
  return {
    application: id,
    sparkId,
    driverUrl,
    sparkVersion: labels[`${PREFIX}version`] ?? '',
    scalaVersion: labels[`${PREFIX}scala`] ?? '',
    mode: labels[`${PREFIX}mode`] === 'internal' ? 'internal' : 'external',
    settings,
    sealedSecret: labels[`${PREFIX}secret`] ?? '',
    authenticated: labels[`${PREFIX}authenticated`] === 'true',
  };
}

/** Settings of a hello that travel on. */
export function settingsOf(hello: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries([...hello].filter(([name]) => SETTING.test(name)));
}
