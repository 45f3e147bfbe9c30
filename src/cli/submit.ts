import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { agentJar, inspectHome, type SparkApplicationInfo } from '../apache-spark/index.ts';
import { findSparkHome, javaVersion } from '../apache-spark/find.ts';
import { agentOptions, readSubmitSettings, splitSubmitArguments } from '../apache-spark/submit-arguments.ts';
import { systemClock } from '../core/clock.ts';
import { loadConfiguration, type Configuration } from '../core/config.ts';
import { printable } from '../core/errors.ts';
import { setLogLevel } from '../core/logger.ts';
import { makeTemporaryDirectory, removeTemporaryDirectory } from '../core/temporary.ts';
import { startWorkerProcesses, type WorkerProcesses } from '../reschedule/worker-processes.ts';
import { CLI_ERRORS } from './errors.ts';
import { parseOptions, parseSettings, type Command } from './command.ts';
import { startSparkHost, type SparkHost } from './spark-host.ts';

const OPTIONS = {
  workers: { type: 'string' },
  slots: { type: 'string' },
  'spark-home': { type: 'string' },
  dispatcher: { type: 'string' },
  url: { type: 'string' },
  selector: { type: 'string' },
  internal: { type: 'boolean' },
  'agent-host': { type: 'string' },
  'proxy-conf': { type: 'string', multiple: true },
  'no-summary': { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

const JAVA = 17;

/** @throws SP_CLI_NO_JAVA, SP_CLI_NO_SPARK, SP_SPARK_BAD_HOME */
function sparkHere(named: string | undefined): string {
  const found = javaVersion(process.env);
  if (found === undefined || found < JAVA) throw CLI_ERRORS.NO_JAVA({ found: found === undefined ? 'none' : String(found), wanted: JAVA });
  const home = named ?? findSparkHome(process.env);
  if (home === undefined) throw CLI_ERRORS.NO_SPARK();
  return inspectHome(home).home;
}

/** Runs spark-submit with this terminal; a signal goes to it, and it decides. */
async function runSparkSubmit(home: string, args: readonly string[]): Promise<number> {
  const program = join(home, 'bin', 'spark-submit');
  // In a distribution from PyPI the programs may lack their execute bit.
  const child = spawn('bash', [program, ...args], { stdio: 'inherit', env: { ...process.env, SPARK_HOME: home } });
  const forward = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 1 : constants.signals[signal])));
    });
  } finally {
    for (const signal of signals) process.removeListener(signal, forward);
  }
}

/** Where the tasks of one application ran: a line of its own and one a worker. */
export function summaryOf({ name, id, sparkVersion, mode, figures }: SparkApplicationInfo): string[] {
  const { endedOutside, endedInside, captured, rerouted, fallenBack, latency } = figures;
  const all = endedOutside + endedInside;
  return [
    `${printable(name)} (${printable(id)}, Spark ${printable(sparkVersion)}, destination ${mode}): ${all} tasks, ${endedOutside} outside, ${endedInside} inside`,
    `  captured ${captured}, re-routed ${rerouted}, fallen back ${fallenBack}; until a task was heard to run: p50 ${latency.p50Ms} ms, p99 ${latency.p99Ms} ms`,
    ...figures.workers.map((worker) => `  ${printable(worker.workerId)} on ${printable(worker.host)}: ${worker.finished} tasks`),
  ];
}

interface Outside {
  readonly host: SparkHost;
  close(): Promise<void>;
}

/** A dispatcher of this process and, where asked for, workers on this machine: they end with submit. */
async function startOutside(configuration: Configuration, agentHost: string | undefined): Promise<Outside> {
  const count = configuration.get('worker.instances');
  const url = configuration.get('transport.url') ?? 'tcp://127.0.0.1:0';
  const host = await startSparkHost(configuration, { url, agentPort: 0, expectedWorkers: count, ...(agentHost === undefined ? {} : { agentHost }) });
  let workers: WorkerProcesses | undefined;
  const localDir = makeTemporaryDirectory(configuration.get('spark.local.dir'), 'spark-proxy-submit');
  if (count > 0) workers = startWorkerProcesses(count, host.url, configuration, localDir, systemClock, () => undefined);
  return {
    host,
    close: async () => {
      await host.agents.close();
      await workers?.stop();
      await host.close();
      await removeTemporaryDirectory(localDir);
    },
  };
}

export const submitCommand: Command = {
  name: 'submit',
  summary: 'submit an application to Apache Spark, its tasks on external executors',
  help: `Usage: spark-proxy submit [options] [spark-submit's own options] APPLICATION [arguments of the application]

Runs spark-submit with the agent in the driver. Without --dispatcher (or spark.proxy.dispatcher in Spark's configuration) it
serves a dispatcher while the application runs, and says at the end where its tasks ran. Deploy modes client and cluster.

      --workers N             start N workers on this machine for this application
      --slots N               cores of the executor of each of them (1)
      --url URL               where workers connect: tcp://HOST:PORT, or that of a broker (tcp://127.0.0.1:0)
      --dispatcher HOST:PORT  the agent port of a dispatcher that runs
      --agent-host HOST       where drivers of other machines reach this one (127.0.0.1)
      --selector NAME         how a worker is chosen (see host.selector)
      --internal              run all tasks on Spark's own executors (reschedule.dst.executor=internal)
      --spark-home DIR        Apache Spark (SPARK_HOME, else that of spark-submit on the PATH)
      --proxy-conf KEY=VALUE  any setting of spark-proxy (see spark-proxy conf); may be repeated
      --no-summary            do not say where tasks ran

All other options are spark-submit's: --master, --deploy-mode, --class, --conf, --py-files, ...

Examples:
  spark-proxy submit --workers 2 --master spark://host:7077 pi.py 100
  spark-proxy submit --url tcp://0.0.0.0:7078 --agent-host 10.0.0.5 --master yarn --class org.example.Main app.jar
  spark-proxy submit --dispatcher 10.0.0.5:7079 --master yarn --deploy-mode cluster app.py
`,
  async run(args) {
    const { own, options, application } = splitSubmitArguments(args, OPTIONS);
    const values = parseOptions('submit', own, OPTIONS);
    if (values.help === true) {
      process.stdout.write(submitCommand.help);
      return 0;
    }
    if (application.length === 0) throw CLI_ERRORS.USAGE({ command: 'submit', reason: 'no application is given' });
    const flags = new Map(parseSettings('submit', values['proxy-conf'] ?? []));
    if (values.workers !== undefined) flags.set('worker.instances', values.workers);
    if (values.slots !== undefined) flags.set('worker.slots', values.slots);
    if (values.url !== undefined) flags.set('transport.url', values.url);
    if (values.selector !== undefined) flags.set('host.selector', values.selector);
    if (values.internal === true) flags.set('reschedule.dst.executor', 'internal');
    const home = sparkHere(values['spark-home']);
    if (!flags.has('spark.homes')) flags.set('spark.homes', home);
    const configuration = loadConfiguration({ flags });
    setLogLevel(configuration.get('log.level'));
    const jar = agentJar();
    const settings = readSubmitSettings(options, home, process.env);
    const local = /^local(?:\[|$)/.exec(settings.master ?? 'local[*]');
    if (local !== null) throw CLI_ERRORS.LOCAL_MASTER({ master: settings.master ?? 'local[*]' });
    if (!existsSync(join(home, 'bin', 'spark-submit'))) throw CLI_ERRORS.NO_SUCH_FILE({ file: join(home, 'bin', 'spark-submit') });

    const known = values.dispatcher ?? settings.get('spark.proxy.dispatcher');
    const destination = configuration.has('reschedule.dst.executor') ? configuration.get('reschedule.dst.executor') : undefined;
    const keyFile = configuration.get('key.file');
    if (known !== undefined) {
      if (values.workers !== undefined)
        throw CLI_ERRORS.USAGE({ command: 'submit', reason: '--workers starts workers for a dispatcher of its own; --dispatcher names another' });
      const extra = agentOptions(settings, { jar, dispatcher: known, destination, keyFile, wait: false });
      return await runSparkSubmit(home, [...options, ...extra, ...application]);
    }
    const outside = await startOutside(configuration, values['agent-host']);
    try {
      const extra = agentOptions(settings, { jar, dispatcher: outside.host.agents.address, destination, keyFile, wait: true });
      const code = await runSparkSubmit(home, [...options, ...extra, ...application]);
      const applications = outside.host.agents.applications();
      if (values['no-summary'] !== true) {
        if (applications.length === 0) process.stderr.write('spark-proxy submit: no driver with our agent has reported here\n');
        for (const one of applications) process.stderr.write(`${summaryOf(one).join('\n')}\n`);
      }
      return code;
    } finally {
      await outside.close();
    }
  },
};
