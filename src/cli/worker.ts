import { hostname } from 'node:os';
import { VERSIONS_LABEL } from '../apache-spark/index.ts';
import { mutualCertificates } from '../core/certificates.ts';
import { watchConfiguration } from '../core/config-live.ts';
import { loadConfiguration, withoutPassword, type Configuration } from '../core/config.ts';
import { printable, SparkProxyError } from '../core/errors.ts';
import { newId } from '../core/ids.ts';
import { createLogger, setLogLevel } from '../core/logger.ts';
import { makeTemporaryDirectory, removeTemporaryDirectory } from '../core/temporary.ts';
import { version } from '../core/version.ts';
import { limitsOf, ThreadPool } from '../executor/thread-pool.ts';
import { createRegisterCenter } from '../registry/index.ts';
import { startBlockServer, type BlockServer } from '../shuffle/block-server.ts';
import type { Transport } from '../transports/contract.ts';
import { connectConfigured, mayListen } from '../security/index.ts';
import { transportUrlOf } from '../transports/index.ts';
import { reachableHost } from '../transports/reachable.ts';
import { createWorkerHost } from '../worker/host.ts';
import { CLI_ERRORS } from './errors.ts';
import { parseOptions, parseSettings, type Command } from './command.ts';
import { parseAllow } from './worker-allow.ts';
import { createConfiguredSparkRunner } from './worker-spark.ts';

const logger = createLogger('worker');

/** One try to connect, milliseconds. */
const CONNECT_MS = 2000;

const OPTIONS = {
  url: { type: 'string' },
  slots: { type: 'string' },
  label: { type: 'string', multiple: true },
  conf: { type: 'string', multiple: true },
  'spark-home': { type: 'string', multiple: true },
  owned: { type: 'boolean' },
} as const;

/** `a=1,b=2` as an object. @throws SP_CLI_USAGE */
export function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const part of text.split(',').filter((p) => p.trim() !== '')) {
    const match = /^\s*([\w.-]+)\s*=\s*([\w.:/-]*)\s*$/.exec(part);
    if (match === null) throw CLI_ERRORS.USAGE({ command: 'worker', reason: `label ${part}: expected name=value` });
    labels[match[1] as string] = match[2] as string;
  }
  return labels;
}

const OWNER_GONE = 'its owner is gone';

/** Somebody wants the worker to end: a signal, or for an owned worker the end of its owner. Heard from the first moment. */
class StopRequest {
  readonly asked: Promise<string>;
  reason: string | undefined;
  readonly #close: () => void;

  constructor(owned: boolean) {
    let ask: (reason: string) => void = () => undefined;
    this.asked = new Promise((resolve) => {
      ask = (reason) => {
        this.reason ??= reason;
        resolve(reason);
      };
    });
    const signals = ['SIGTERM', 'SIGINT'] as const;
    for (const signal of signals) process.on(signal, ask);
    if (owned) process.stdin.resume().once('close', () => ask(OWNER_GONE));
    this.#close = () => {
      for (const signal of signals) process.removeListener(signal, ask);
      if (owned) process.stdin.destroy();
    };
  }

  close(): void {
    this.#close();
  }
}

/** A worker of its own waits for its dispatcher as long as it takes; an owned one gives up. Undefined: it was asked to end. */
async function connect(url: string, configuration: Configuration, owned: boolean, stop: StopRequest): Promise<Transport | undefined> {
  for (let told = false; stop.reason === undefined; told = true) {
    try {
      return await connectConfigured(url, configuration, { role: 'client', connectTimeoutMs: CONNECT_MS });
    } catch (error) {
      if (owned || !SparkProxyError.is(error) || error.code !== 'SP_TRANSPORT_CONNECT_FAILED') throw error;
      if (!told) process.stderr.write(`spark-proxy worker: waiting for a dispatcher at ${printable(withoutPassword(url))}\n`);
    }
  }
  return undefined;
}

export const workerCommand: Command = {
  name: 'worker',
  summary: 'run a worker that external tasks are sent to',
  help: `Usage: spark-proxy worker --url URL [options]

Connects, registers, and runs the tasks it is sent until it gets SIGTERM or SIGINT: then it finishes what runs and leaves.

      --url URL        where the dispatcher is found, such as tcp://127.0.0.1:7077
      --slots N        tasks run at once, a thread each (1)
      --label NAME=V   a label; may be repeated
      --spark-home DIR an installed Apache Spark, whose tasks it can run too; may be repeated (SPARK_HOME)
      --owned          end when standard input closes (for a process that starts workers for itself)
      --conf KEY=VALUE any setting (see spark-proxy conf); may be repeated

Examples:
  spark-proxy worker --url tcp://127.0.0.1:7077 --slots 4
  spark-proxy worker --url tcp://127.0.0.1:7077 --label zone=a --conf worker.thread.memory=512m
`,
  async run(args) {
    const values = parseOptions('worker', args, OPTIONS);
    const flags = new Map(parseSettings('worker', values.conf ?? []));
    if (values.url !== undefined) flags.set('transport.url', values.url);
    if (values.slots !== undefined) flags.set('worker.slots', values.slots);
    if (values.label !== undefined) flags.set('worker.labels', values.label.join(','));
    if (values['spark-home'] !== undefined) flags.set('spark.homes', values['spark-home'].join(','));
    const configuration = loadConfiguration({ flags });
    const watching = watchConfiguration(configuration, { flags }, { signal: true });
    setLogLevel(configuration.get('log.level'));
    const url = transportUrlOf(configuration);
    if (url === undefined) throw CLI_ERRORS.USAGE({ command: 'worker', reason: 'no --url is given, and neither transport.url nor redis.host is set' });
    const labels = parseLabels(configuration.get('worker.labels'));
    const allow = parseAllow(configuration.get('worker.allow'));

    const owned = values.owned === true;
    const stop = new StopRequest(owned);
    const localDir = makeTemporaryDirectory(configuration.get('spark.local.dir'), 'spark-proxy-worker');
    const id = newId('worker');
    const slots = configuration.get('worker.slots');
    let blocks: BlockServer | undefined;
    try {
      const transport = await connect(url, configuration, owned, stop);
      if (transport === undefined) return 0;
      const registry = createRegisterCenter(transport, { beatMs: configuration.get('registry.beat'), ttlMs: configuration.get('registry.ttl') });
      const machine = configuration.get('worker.host') ?? hostname();
      const address = configuration.get('worker.host') ?? reachableHost(url);
      mayListen('the block server', address, configuration);
      const tls = mutualCertificates(configuration);
      blocks = await startBlockServer({
        directory: localDir,
        host: address,
        port: configuration.get('spark.blockManager.port'),
        machine,
        tls,
      });
      const runner = new ThreadPool({
        machine,
        tls,
        allowed: allow.modules,
        location: blocks.location,
        executorId: id,
        localDir,
        threads: slots,
        ...limitsOf(configuration),
      });
      const spark = allow.kinds.has('spark') ? await createConfiguredSparkRunner(configuration, { id, slots, host: address, directory: localDir }) : undefined;
      if (spark !== undefined) {
        labels[VERSIONS_LABEL] = spark.label;
        await registry.watch('application', (event) => spark.applicationEvent(event));
      }
      configuration.onChange(() => runner.setLimits(limitsOf(configuration)));
      // What an application left here (shuffle files, cached partitions) goes when it goes.
      await registry.watch('application', (event) => {
        if (event.type === 'left') void runner.applicationEnded(event.id);
      });
      const host = await createWorkerHost({
        transport,
        registry,
        runners: [runner, ...(spark === undefined ? [] : [spark])].filter(({ kind }) => allow.kinds.has(kind)),
        host: machine,
        slots,
        id,
        labels,
        version,
        drainGraceMs: () => configuration.get('worker.drain.grace'),
        onOrphaned: (reason) => {
          if (owned) void host.close();
          else logger.warn('still no dispatcher; the worker waits for one', { url: withoutPassword(url), reason: reason?.message });
        },
      });
      logger.info('ready', { id, pid: process.pid, slots, url: transport.url });
      void stop.asked.then((reason) => (reason === OWNER_GONE ? host.close() : host.drain(reason)));
      await host.closed;
      await registry.close();
      await transport.close();
      return 0;
    } finally {
      watching.close();
      stop.close();
      await blocks?.close();
      await removeTemporaryDirectory(localDir);
    }
  },
};
