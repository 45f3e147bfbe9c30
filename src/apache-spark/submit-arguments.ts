/** The command line of `spark-proxy submit`: options of our own among those of spark-submit, which go on untouched. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Options of spark-submit that take no value; all others take one. */
const SWITCHES = new Set(['--supervise', '--verbose', '-v', '--version', '--usage-error', '--help', '-h']);
/** Ways to name what runs without a file: the rest is arguments of the class. */
const SPARK_OPTION = /^-/;

export interface OwnOption {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
}

export interface SubmitArguments {
  /** Options of our own, as given. */
  readonly own: readonly string[];
  /** Options of spark-submit, in order. */
  readonly options: readonly string[];
  /** The application and its arguments. */
  readonly application: readonly string[];
}

/**
 * Cuts the arguments. Options end where spark-submit ends them: at the first argument that is no option's value, the
 * application; what follows is the application's, even when it looks like an option of ours.
 */
export function splitSubmitArguments(args: readonly string[], own: Readonly<Record<string, OwnOption>>): SubmitArguments {
  const ours: string[] = [];
  const options: string[] = [];
  let i = 0;
  while (i < args.length) {
    const arg = args[i] as string;
    if (!SPARK_OPTION.test(arg)) break;
    const name = arg.split('=')[0] as string;
    const mine = Object.hasOwn(own, name.replace(/^--/, '')) && name.startsWith('--') ? own[name.slice(2)] : undefined;
    const alone = arg.includes('=') || (mine === undefined ? SWITCHES.has(name) : mine.type === 'boolean');
    (mine === undefined ? options : ours).push(...args.slice(i, i + (alone ? 1 : 2)));
    i += alone ? 1 : 2;
  }
  return { own: ours, options, application: args.slice(i) };
}

/** Values of an option, `--name value` or `--name=value`, in order. */
function valuesOf(options: readonly string[], name: string): string[] {
  return options.flatMap((option, i) => {
    if (option === name) return [options[i + 1] ?? ''];
    return option.startsWith(`${name}=`) ? [option.slice(name.length + 1)] : [];
  });
}

/** Properties of a file in Spark's way: a key and a value between blanks, `=` or `:`; undefined: there is no such file. */
function propertiesOf(file: string): Map<string, string> {
  const properties = new Map<string, string>();
  if (!existsSync(file)) return properties;
  for (const line of readFileSync(file, 'utf8').split(/\r?\n/)) {
    const match = /^\s*([^#!\s=:][^\s=:]*)\s*[\s=:]\s*(.*?)\s*$/.exec(line);
    if (match !== null) properties.set(match[1] as string, match[2] as string);
  }
  return properties;
}

/** What an application is submitted with, as spark-submit itself will see it. */
export interface SubmitSettings {
  get(key: string): string | undefined;
  readonly master: string | undefined;
  readonly deployMode: 'client' | 'cluster';
}

/** JVM options of the user's own for the driver. */
const OWN_DRIVER_OPTIONS = 'spark.driver.extraJavaOptions';

/** `--conf` wins over the properties file (`--properties-file`, else spark-defaults.conf of the conf directory). */
export function readSubmitSettings(options: readonly string[], home: string, env: NodeJS.ProcessEnv): SubmitSettings {
  const file = valuesOf(options, '--properties-file').at(-1) ?? join(env['SPARK_CONF_DIR'] ?? join(home, 'conf'), 'spark-defaults.conf');
  const settings = propertiesOf(file);
  for (const name of ['--conf', '-c']) {
    for (const pair of valuesOf(options, name)) {
      const at = pair.indexOf('=');
      if (at > 0) settings.set(pair.slice(0, at), pair.slice(at + 1));
    }
  }
  const driverOptions = valuesOf(options, '--driver-java-options').at(-1);
  if (driverOptions !== undefined) settings.set(OWN_DRIVER_OPTIONS, driverOptions);
  return {
    get: (key) => settings.get(key),
    master: valuesOf(options, '--master').at(-1) ?? settings.get('spark.master') ?? env['MASTER'],
    deployMode: (valuesOf(options, '--deploy-mode').at(-1) ?? settings.get('spark.submit.deployMode')) === 'cluster' ? 'cluster' : 'client',
  };
}

/** JVM options that Spark puts before those of the user, for every driver: where an agent goes without touching the user's own. */
const DRIVER_OPTIONS = 'spark.driver.defaultJavaOptions';
const AGENT_NAME = 'spark-proxy-agent.jar';

export interface AgentPlan {
  readonly jar: string;
  /** `host:port`; undefined: the agent finds it in the register center. */
  readonly dispatcher: string | undefined;
  /** `reschedule.dst.executor`. */
  readonly destination: string | undefined;
  /** The file of the cluster's keys (its path; where the driver runs, it must lie there too). */
  readonly keyFile: string | undefined;
  /** Submit waits until the application has ended, also where spark-submit would not. */
  readonly wait: boolean;
}

/** Options for spark-submit that bring the agent into the driver: to be put behind the user's own, which they continue. */
export function agentOptions(settings: SubmitSettings, { jar, dispatcher, destination, keyFile, wait }: AgentPlan): string[] {
  const conf: [string, string][] = [];
  const away = settings.deployMode === 'cluster' && (settings.master ?? '').startsWith('yarn');
  if (away) {
    // The driver's container has its own directory, where YARN lays the file.
    const files = [settings.get('spark.yarn.dist.files'), `file://${jar}#${AGENT_NAME}`].filter((file) => file !== undefined && file !== '');
    conf.push(['spark.yarn.dist.files', files.join(',')]);
  }
  const standalone = settings.deployMode === 'cluster' && (settings.master ?? '').startsWith('spark:');
  const name = standalone ? OWN_DRIVER_OPTIONS : DRIVER_OPTIONS;
  const options = [settings.get(name) ?? '', `-javaagent:${away ? AGENT_NAME : jar}`].filter((option) => option !== '').join(' ');
  if (!standalone) conf.push([DRIVER_OPTIONS, options]);
  if (dispatcher !== undefined) conf.push(['spark.proxy.dispatcher', dispatcher]);
  if (destination !== undefined) conf.push(['spark.proxy.reschedule.dst.executor', destination]);
  if (keyFile !== undefined && settings.get('spark.proxy.key.file') === undefined) conf.push(['spark.proxy.key.file', keyFile]);
  if (wait && standalone) conf.push(['spark.standalone.submit.waitAppCompletion', 'true']);
  // A standalone cluster starts drivers with the user's options alone, and this way of saying them wins over all others.
  return [...(standalone ? ['--driver-java-options', options] : []), ...conf.flatMap(([key, value]) => ['--conf', `${key}=${value}`])];
}
