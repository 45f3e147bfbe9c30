/** Every configuration key, once: its type, default and meaning. Names of Spark's own keys are Spark's. */
import { z } from 'zod';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };
const SIZES: Readonly<Record<string, number>> = { b: 1, k: 1024, kb: 1024, m: 1024 ** 2, mb: 1024 ** 2, g: 1024 ** 3, gb: 1024 ** 3 };

function withUnit(units: Readonly<Record<string, number>>, fallback: string, what: string): z.ZodType<number, string> {
  return z.string().transform((text, context) => {
    const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
    const factor = match === null ? undefined : units[(match[2] === '' ? fallback : (match[2] as string)).toLowerCase()];
    if (match === null || factor === undefined) {
      context.addIssue({ code: 'custom', message: `expected ${what} such as ${what === 'a size' ? '512m' : '30s'}` });
      return z.NEVER;
    }
    return Number(match[1]) * factor;
  });
}

/** `30s`, `500ms`, `2m`; a bare number is milliseconds. Gives milliseconds. */
const duration = withUnit(UNITS, 'ms', 'a duration');
/** `512m`, `1g`; a bare number is bytes. Gives bytes. */
const size = withUnit(SIZES, 'b', 'a size');

const integer = (min: number, max = Number.MAX_SAFE_INTEGER): z.ZodType<number, string> =>
  z
    .string()
    .regex(/^-?\d+$/, 'expected a whole number')
    .transform(Number)
    .pipe(z.number().int().min(min).max(max));

/** A plain decimal number. */
const decimal: z.ZodType<number, string> = z
  .string()
  .regex(/^\d+(\.\d+)?$/, 'expected a number such as 1.5')
  .transform(Number);
const fraction: z.ZodType<number, string> = decimal.refine((value) => value <= 1, 'expected a number from 0 to 1');

const oneOf = <const T extends readonly [string, ...string[]]>(...names: T): z.ZodType<T[number], string> =>
  z.string().refine((text): text is T[number] => names.includes(text), { message: `expected one of ${names.join(', ')}` }) as never;

const text = z.string();
/** `zone=a,disk=ssd`. */
const labelList = text.regex(/^(\s*[\w.-]+\s*=\s*[\w.:/-]*\s*(,|$))*$/, 'expected labels such as zone=a,disk=ssd');

const SELECTOR = '(RANDOM|ROUND_ROBIN|LEAST_LOADED|POWER_OF_TWO|PULL|CONSISTENT_HASH)';
/** A selector of src/selectors, or a module: a path or a package, in lower case so that a misspelt name is not taken for one. */
const selectorName = z
  .string()
  .regex(
    new RegExp(`^(LOCALITY|(LOCALITY:)?(${SELECTOR}|\\.{1,2}/.+|/.+|file:.+|@?[a-z0-9][\\w.-]*(/[\\w.-]+)*))$`),
    'expected RANDOM, ROUND_ROBIN, LEAST_LOADED, POWER_OF_TWO, PULL, CONSISTENT_HASH, LOCALITY, LOCALITY:<one of them>, a path such as ./my-selector.js or a package',
  );

/** Schemes of src/transports; a new transport is named here too, so that a wrong URL is refused where it is written. */
const TRANSPORT_SCHEMES = ['tcp:', 'tcps:', 'memory:', 'redis:', 'rediss:', 'amqp:', 'amqps:'];
const transportUrl = text.refine((url) => URL.canParse(url) && TRANSPORT_SCHEMES.includes(new URL(url).protocol), {
  message: `expected a URL that begins with one of ${TRANSPORT_SCHEMES.join(', ')}, and whose port is at most 65535`,
});

interface Key<T> {
  readonly parse: z.ZodType<T, string>;
  /** As it would be written; undefined: not set. */
  readonly default: string | undefined;
  readonly doc: string;
  readonly secret?: boolean;
}

function key<T>(parse: z.ZodType<T, string>, fallback: string, doc: string): Key<T>;
function key<T>(parse: z.ZodType<T, string>, fallback: undefined, doc: string): Key<T | undefined>;
function key<T>(parse: z.ZodType<T, string>, fallback: string | undefined, doc: string): Key<T | undefined> {
  return { parse: parse as never, default: fallback, doc };
}

/** Never shown, and not taken from the command line, where everyone reads it. */
function secret(doc: string): Key<string | undefined> {
  return { ...key(text, undefined, doc), secret: true };
}

export const CONFIG_KEYS = {
  'reschedule.dst.executor': key(
    oneOf('external', 'internal'),
    'external',
    'Where captured tasks run: `external` workers (inside while none is registered), or `internal`: always inside.',
  ),
  'host.selector': key(
    selectorName,
    'RANDOM',
    "How a worker is chosen: RANDOM, ROUND_ROBIN, LEAST_LOADED, POWER_OF_TWO, PULL, CONSISTENT_HASH, LOCALITY (over RANDOM; `LOCALITY:PULL` over another), or a module of one's own: `./my-selector.js`, `my-package`.",
  ),
  'spark.locality.wait': key(duration, '3s', 'LOCALITY: how long a task waits for the worker that holds its input, and then as long for its machine.'),
  'dispatch.order': key(
    oneOf('FIFO', 'FAIR', 'PRIORITY', 'CRITICAL_PATH'),
    'FIFO',
    'Which waiting task goes next: FIFO, FAIR (pools as in Spark), PRIORITY (of applications), CRITICAL_PATH (longest way from its stage to the end of the job).',
  ),
  'transport.url': key(
    transportUrl,
    undefined,
    'How tasks travel, by URL scheme: `tcp://127.0.0.1:7077` (port 0: any free one), `tcps:`, `redis://host:6379`, `rediss:`, `amqp://host:5672`, `amqps:`, `memory:name`. Unset: nothing leaves the process, unless worker.instances asks for workers.',
  ),
  'transport.role': key(
    oneOf('hub', 'client'),
    'hub',
    'For schemes without a broker of their own: `hub` serves it in the driver (unless a dispatcher serves the address already), `client` connects to one that runs.',
  ),
  'transport.username': key(text, undefined, 'User at the broker, where transport.url names none.'),
  'transport.password': secret('Password at the broker, where transport.url has none; better in a file, see transport.password.file.'),
  'transport.password.file': key(text, undefined, 'File with the password at the broker (its first line).'),
  'transport.tls.ca': key(
    text,
    undefined,
    'File with the certificates (PEM) of authorities that the other side of `rediss:`, `amqps:` and `tcps:` is checked by.',
  ),
  'transport.tls.cert': key(text, undefined, 'File with the certificate (PEM) of this side: for a `tcps:` hub, and for mutual TLS.'),
  'transport.tls.key': key(text, undefined, 'File with its private key (PEM).'),
  'transport.tls.servername': key(text, undefined, 'Name that the certificate of the other side must have. Default: the host of transport.url.'),
  'redis.host': key(
    text,
    undefined,
    'Host of the Redis that carries tasks where transport.url is not set, and in which a dispatcher tells its address to agents of Spark drivers.',
  ),
  'redis.port': key(integer(1, 65_535), '6379', 'Its port.'),
  'redis.password': secret('Its password.'),
  'worker.instances': key(integer(0, 1024), '0', 'Worker processes the application starts for itself, on this machine.'),
  'worker.slots': key(integer(1, 1024), '1', 'Tasks a worker runs at once, a thread each.'),
  'worker.allow': key(
    text,
    '*',
    'What tasks may use, comma separated. Modules by name or path (`node:path`, `lodash`, /srv/tasks/sums.js, /srv/tasks/ and all below): functions that they export, and none that travels as code. `kind:js`, `kind:spark`: tasks of these kinds only. `*`: everything.',
  ),
  'worker.host': key(
    text,
    undefined,
    "Name or address of a worker's machine for others. Workers of the same name share files. Default: the name of this machine, reached by the loopback address while transport.url is on loopback.",
  ),
  'worker.labels': key(text, '', 'Labels of a worker: `zone=a,disk=ssd`.'),
  'worker.thread.memory': key(size, '0', 'Heap limit of a runner thread; 0 leaves V8 its own.'),
  'worker.task.cpu': key(duration, '0', 'CPU time one task may use before it is ended; 0: no limit. A task that waits uses none.'),
  'worker.process.memory': key(size, '0', 'Resident memory of a worker process at which its largest task is ended; 0: no limit.'),
  'worker.storage.memory': key(size, '1g', 'Memory for cached partitions of one worker, or of the embedded executor.'),
  'agent.listen': key(text, undefined, 'Where a dispatcher awaits the agents of Spark drivers: `7078` (this machine only), `0.0.0.0:7078`.'),
  'registry.cluster': key(text, 'default', 'Name of the cluster, where several share a Redis.'),
  'spark.homes': key(text, undefined, 'Directories of installed Apache Sparks, separated by commas, whose tasks a worker can run. Default: SPARK_HOME.'),
  'worker.spark.memory': key(size, undefined, 'Memory for all Spark executors of one worker, with overhead and Python. Default: 80 % of the machine.'),
  'worker.spark.idle': key(duration, '10m', 'A Spark executor whose application has had no job for so long ends; the next job starts another. 0: never.'),
  'worker.spark.java.options': key(text, '', 'More options of the JVM of Spark executors, before those of the application.'),
  'worker.drain.grace': key(duration, '30s', 'How long a worker that was asked to stop may finish its tasks.'),
  'worker.register.timeout': key(duration, '30s', 'How long the first launch waits for worker.instances to register before it runs inside.'),
  'dispatcher.mode': key(
    oneOf('auto', 'embedded', 'service'),
    'auto',
    'Who dispatches: `embedded`, the application itself; `service`, a dispatcher that many applications share (spark-proxy dispatcher); `auto`: the service when there is one.',
  ),
  'dispatcher.takeover': key(
    duration,
    '10s',
    'How long an application waits for another dispatcher, when the service it uses is gone, before its tasks run inside.',
  ),
  'dispatcher.drain.grace': key(duration, '30s', 'How long a dispatcher that was asked to stop, and has no standby, lets tasks finish.'),
  'dispatch.queue.depth': key(integer(1, 1024), '2', 'Tasks sent to a worker for each of its slots: one running, the rest waiting there.'),
  'dispatch.queue.time': key(
    duration,
    '5ms',
    'Short tasks are sent ahead: of a stage whose tasks have proved short, as many for each slot as run in this time, up to 64. `0`: never more than dispatch.queue.depth.',
  ),
  'dispatch.max.leases': key(integer(1, 100), '4', 'Workers a task may be lost on before it fails.'),
  'dispatch.retry.backoff': key(duration, '100ms', 'Wait before a task that was lost with two workers is leased again; doubles with each further loss.'),
  'dispatch.poison': key(
    oneOf('fail', 'hold'),
    'fail',
    'A task that was lost on dispatch.max.leases workers: `fail` tells the application, `hold` parks it until `spark-proxy retry` or the end of the application.',
  ),
  'dispatch.pool': key(text, undefined, 'FAIR: pool of this application; those that name the same one share it. Default: one of its own.'),
  'dispatch.pool.weight': key(integer(1, 1_000_000), '1', 'FAIR: share of the pool against others.'),
  'dispatch.pool.minShare': key(integer(0, 1_000_000), '0', 'FAIR: running tasks the pool gets before others get more than theirs.'),
  'dispatch.priority': key(integer(-1_000_000, 1_000_000), '0', 'PRIORITY: higher goes first.'),
  'placement.hosts': key(text, '', 'Workers or hosts this application would like to run on, separated by commas.'),
  'placement.labels': key(labelList, '', 'Labels of workers it would like to run on: `zone=a,disk=ssd`.'),
  'placement.required.hosts': key(text, '', 'Workers or hosts it must run on: its tasks wait for one of them.'),
  'placement.required.labels': key(labelList, '', 'Labels a worker must have to run its tasks.'),
  'spark.speculation': key(oneOf('true', 'false'), 'false', 'Copies of slow tasks on other workers; the first result counts.'),
  'spark.speculation.quantile': key(fraction, '0.9', 'Share of the tasks of a stage that must have finished before copies are made.'),
  'spark.speculation.multiplier': key(decimal, '3', 'A task is slow when it has run for this many times the median.'),
  'spark.speculation.minTaskRuntime': key(duration, '100ms', 'And for at least this long.'),
  'verify.quorum': key(
    integer(0, 16).refine((n) => n !== 1, 'expected 0 or 2 to 16'),
    '0',
    'Workers that must agree on a result, for workers that are not trusted; those with a good record are checked by lot. 0: results are trusted.',
  ),
  'verify.max.replicas': key(integer(2, 64), '5', 'Results asked for at most before the task fails.'),
  'verify.comparator': key(
    text,
    'bytes',
    "When two results say the same: `bytes`, `float:1e-9` (numbers within this relative error), or a module of one's own: `./my-comparator.js`.",
  ),
  'registry.beat': key(duration, '1s', 'Interval of heartbeats.'),
  'registry.ttl': key(duration, '3s', 'Silence after which a worker counts as lost; at least two beats.'),
  'task.timeout': key(duration, '0', 'Longest time one task may run; 0: no limit.'),
  'log.level': key(oneOf('debug', 'info', 'warn', 'error', 'silent'), 'warn', 'Least level that is logged.'),
  'spark.master': key(
    z.string().regex(/^local(\[(\*|[1-9]\d*)(,\s*[1-9]\d*)?\])?$/, 'expected local, local[N] or local[*]'),
    'local[*]',
    'The embedded engine and its threads.',
  ),
  'spark.app.name': key(text, 'spark-proxy', 'Name of the application.'),
  'spark.default.parallelism': key(integer(1), undefined, 'Partitions where none are asked for. Default: threads, or slots of the workers.'),
  'spark.task.maxFailures': key(integer(1), '4', 'Attempts of a task before its job fails.'),
  'spark.stage.maxConsecutiveAttempts': key(integer(1), '4', 'Attempts of a stage, after lost map outputs, before its job fails.'),
  'spark.driver.maxResultSize': key(size, '1g', 'Bytes one job may bring to the driver; 0: no limit.'),
  'spark.driver.host': key(
    text,
    undefined,
    "Name or address of the application's machine for workers elsewhere. Default: the loopback address while transport.url is on loopback, else the name of this machine.",
  ),
  'spark.blockManager.port': key(
    integer(0, 65535),
    '0',
    'Port on which a worker or an application gives its shuffle files to other machines; 0: any free one.',
  ),
  'spark.local.dir': key(text, undefined, "Where shuffle files are kept. Default: a directory of this process under the system's temporary one."),
  'dataset.store': key(
    text.refine((url) => /^(sqlite:.+|postgres(ql)?:\/\/.+)$/.test(url), { message: 'expected sqlite:PATH or postgres://user@host/database' }),
    'sqlite:.spark-proxy/datasets.db',
    'Where datasets are kept: `sqlite:PATH` (relative to the working directory), or `postgres://user@host/database`.',
  ),
  'dataset.store.password.file': key(
    text,
    undefined,
    'File that holds the password for dataset.store. PGPASSWORD in the environment serves too; the URL should have none.',
  ),
  'dataset.namespace': key(text.regex(/^[\w.-]{1,128}$/, 'expected a name'), 'default', 'Namespace of dataset names that do not tell theirs.'),
  'dataset.files': key(
    text,
    undefined,
    'Directory of file sets, which workers must reach too. Default: `files` beside the SQLite file, else `.spark-proxy/files`.',
  ),
  'dataset.transaction.timeout': key(duration, '5m', 'Longest time an explicit transaction may take; 0: no limit.'),
  'dataset.session.ttl': key(duration, '30s', 'Silence after which a driver is fenced, and what it has open is aborted; it beats four times as often.'),
  'dataset.service.host': key(
    text,
    '127.0.0.1',
    "Address at which tasks reach the driver's dataset service; that of an interface when workers are on other machines.",
  ),
  'program.home': key(text, '.spark-proxy', 'Directory of the records and logs of program runs.'),
  'program.stop.grace': key(duration, '30s', 'How long a program that was asked to stop may take before it is ended by force.'),
  'program.runs.kept': key(integer(0), '1000', 'Ended runs whose records and logs are kept.'),
  'key.file': key(
    text,
    undefined,
    'File of keys (lines `id: base64`, the first one signs; spark-proxy keygen makes one), readable by its owner only. Frames are then signed, and unsigned ones refused. SPARK_PROXY_KEY in the environment serves too.',
  ),
  'security.frame.ttl': key(duration, '1h', 'Age at which a signed frame is refused.'),
  'security.clock.skew': key(duration, '5m', 'How far the clocks of the cluster may differ.'),
  'observe.summary': key(oneOf('true', 'false'), 'false', 'A table of where tasks ran, on standard error, when the context stops.'),
  'application.code': key(
    text,
    '',
    'Files and directories that travel to workers with the functions of a program, beside the modules these import; comma separated.',
  ),
  'application.jars': key(text, '', 'Jars on the class path of the Spark executors a worker starts, comma separated, beside those that an application brings.'),
  'shuffle.service.jar': key(
    text,
    undefined,
    'Jar of the client of a remote shuffle service (Celeborn) on that class path, where applications do not bring it.',
  ),
  'run.id': key(text, undefined, 'Id under which the context of this process is captured. Default: a new one.'),
  'spark.ui.showConsoleProgress': key(oneOf('true', 'false'), 'false', 'A progress line per stage on standard error.'),
} as const;

export type ConfigKey = keyof typeof CONFIG_KEYS;
export type ConfigValue<K extends ConfigKey> = (typeof CONFIG_KEYS)[K] extends Key<infer T> ? T : never;

/** Keys whose edits take effect while a process runs (see config-live.ts); the others are read at its start. */
export const LIVE_KEYS = [
  'reschedule.dst.executor',
  'host.selector',
  'log.level',
  'task.timeout',
  'spark.driver.maxResultSize',
  'worker.thread.memory',
  'worker.task.cpu',
  'worker.storage.memory',
  'worker.process.memory',
  'worker.drain.grace',
  'application.code',
  'application.jars',
  'shuffle.service.jar',
] as const satisfies readonly ConfigKey[];
