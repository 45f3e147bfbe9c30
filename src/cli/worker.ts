import { mkdirSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfiguration } from '../core/config.ts';
import { newId } from '../core/ids.ts';
import { createLogger, setLogLevel } from '../core/logger.ts';
import { version } from '../core/version.ts';
import { ThreadPool } from '../executor/thread-pool.ts';
import { createRegisterCenter } from '../registry/index.ts';
import { connectTransport } from '../transports/index.ts';
import { createWorkerHost } from '../worker/host.ts';
import { CLI_ERRORS } from './errors.ts';
import { parseOptions, parseSettings, type Command } from './command.ts';

const logger = createLogger('worker');

const OPTIONS = {
  url: { type: 'string' },
  slots: { type: 'string' },
  label: { type: 'string', multiple: true },
  conf: { type: 'string', multiple: true },
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

export const workerCommand: Command = {
  name: 'worker',
  summary: 'run a worker that external tasks are sent to',
  help: `Usage: spark-proxy worker --url URL [options]

Connects, registers, and runs the tasks it is sent until it gets SIGTERM or SIGINT: then it finishes what runs and leaves.

      --url URL        where the dispatcher is found, such as tcp://127.0.0.1:7077
      --slots N        tasks run at once, a thread each (1)
      --label NAME=V   a label; may be repeated
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
    const configuration = loadConfiguration({ flags });
    setLogLevel(configuration.get('log.level'));
    const url = configuration.get('transport.url');
    if (url === undefined) throw CLI_ERRORS.USAGE({ command: 'worker', reason: 'no --url is given, and transport.url is not set' });
    const labels = parseLabels(configuration.get('worker.labels'));

    const base = configuration.get('spark.local.dir') ?? tmpdir();
    mkdirSync(base, { recursive: true });
    const localDir = mkdtempSync(join(base, `spark-proxy-worker-${process.pid}-`));
    const id = newId('worker');
    const slots = configuration.get('worker.slots');
    try {
      const transport = await connectTransport(url, { role: 'client' });
      const registry = createRegisterCenter(transport, { beatMs: configuration.get('registry.beat'), ttlMs: configuration.get('registry.ttl') });
      const runner = new ThreadPool({
        executorId: id,
        localDir,
        threads: slots,
        threadMemoryMb: Math.floor(configuration.get('worker.thread.memory') / 1024 ** 2),
        storageBytes: configuration.get('worker.storage.memory'),
      });
      // What an application left here (shuffle files, cached partitions) goes when it goes.
      await registry.watch('application', (event) => {
        if (event.type === 'left') void runner.applicationEnded(event.id);
      });
      const host = await createWorkerHost({
        transport,
        registry,
        runners: [runner],
        slots,
        id,
        labels,
        version,
        drainGraceMs: configuration.get('worker.drain.grace'),
        onOrphaned: (reason) => {
          logger.error('the dispatcher is gone; the worker ends', { url, reason: reason?.message });
          void host.close();
        },
      });
      transport.setActive(true);
      logger.info('ready', { id, pid: process.pid, slots, url });
      const drain = (reason: string) => (): void => {
        void host.drain(reason);
      };
      process.once('SIGTERM', drain('SIGTERM'));
      process.once('SIGINT', drain('SIGINT'));
      if (values.owned === true) process.stdin.resume().once('close', () => void host.close());
      await host.closed;
      if (values.owned === true) process.stdin.destroy();
      await registry.close();
      await transport.close();
      return 0;
    } finally {
      await rm(localDir, { recursive: true, force: true });
    }
  },
};
