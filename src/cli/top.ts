import { setTimeout as wait } from 'node:timers/promises';
import { SparkProxyError } from '../core/errors.ts';
import { ADMIN_HELP, ADMIN_OPTIONS, connectAdmin } from './admin-client.ts';
import { parseOptions, wholeNumber, type Command } from './command.ts';
import { showStatus } from './show.ts';

const CLEAR = '\u001b[H\u001b[2J';

export const topCommand: Command = {
  name: 'top',
  summary: 'the cluster, live',
  help: `Usage: spark-proxy top --url URL [options]

On a terminal: the status of the cluster, refreshed, until it is interrupted. Elsewhere: a line each time.

      --interval SECONDS  time between two looks (1)
      --count N           looks, then ends (0: until interrupted)
${ADMIN_HELP}
Examples:
  spark-proxy top --url tcp://127.0.0.1:7077
  spark-proxy top --interval 10 >> cluster.log
  spark-proxy top --json --count 1
`,
  async run(args) {
    const values = parseOptions('top', args, { ...ADMIN_OPTIONS, interval: { type: 'string' }, count: { type: 'string' } } as const);
    const interval = wholeNumber('top', '--interval', values.interval ?? '1', 1, 86_400) * 1000;
    const count = wholeNumber('top', '--count', values.count ?? '0');
    const client = await connectAdmin('top', values);
    const stopping = new AbortController();
    const stop = (): void => stopping.abort();
    process.once('SIGINT', stop).once('SIGTERM', stop);
    let before: { readonly at: number; readonly finished: number } | undefined;
    try {
      for (let i = 1; !stopping.signal.aborted; i++) {
        try {
          const status = await client.ask('status', {});
          const now = performance.now();
          const { finished, live, failed } = status.tasks;
          const rate = before === undefined ? 0 : Math.max(0, ((finished - before.finished) * 1000) / (now - before.at));
          before = { at: now, finished };
          if (values.json === true) process.stdout.write(`${JSON.stringify({ ...status, rate })}\n`);
          else if (process.stdout.isTTY) process.stdout.write(`${CLEAR}${rate.toFixed(1)} tasks/s\n${showStatus(status)}\n`);
          else {
            const running = status.workers.reduce((sum, worker) => sum + worker.running, 0);
            const workers = status.workers.filter(({ state }) => state !== 'lost').length;
            const time = new Date().toISOString().slice(11, 19);
            process.stdout.write(
              `${time} term=${status.term} workers=${workers} applications=${status.applications.length} live=${live} running=${running} finished=${finished} failed=${failed} rate=${rate.toFixed(1)}/s\n`,
            );
          }
        } catch (error) {
          // Between two leaders there is nobody to ask.
          if (!SparkProxyError.is(error) || !error.code.startsWith('SP_CLI_NO_')) throw error;
          process.stderr.write(`${error.message}\n`);
        }
        if (i === count) break;
        await wait(interval, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
      return 0;
    } finally {
      process.removeListener('SIGINT', stop).removeListener('SIGTERM', stop);
      await client.close();
    }
  },
};
