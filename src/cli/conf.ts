import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CONFIG_ERRORS } from '../core/config-errors.ts';
import { LIVE_KEYS } from '../core/config-schema.ts';
import { Configuration, findPropertiesFile, loadConfiguration } from '../core/config.ts';
import { printable } from '../core/errors.ts';
import { editProperties, parseProperties, PROPERTIES_FILE, propertiesDirectories, replaceFile } from '../core/properties.ts';
import { CLI_ERRORS } from './errors.ts';
import { table } from '../observe/table.ts';
import { parseOptions, parseSettings, type Command } from './command.ts';

export const confCommand: Command = {
  name: 'conf',
  summary: 'print the effective configuration and where each value came from',
  help: `Usage: spark-proxy conf [--json] [--conf KEY=VALUE]...
       spark-proxy conf get KEY
       spark-proxy conf set KEY VALUE [--file FILE]
       spark-proxy conf unset KEY [--file FILE]

Order, later wins: defaults, common.properties (in SPARK_CONF_DIR, EXTERNAL_SPARK_CONF_DIR, HADOOP_CONF_DIR or
$EXTERNAL_SPARK_HOME/conf), SparkConf of the program (spark.proxy.<key>), environment (SPARK_PROXY_<KEY>), flags.

set and unset edit common.properties in one step; a value that is not valid is refused. Processes that run read it again by
themselves (services also on SIGHUP); keys that are read at their start only are named in their log.

Examples:
  spark-proxy conf
  spark-proxy conf --json | jq .
  spark-proxy conf set reschedule.dst.executor internal   # running programs follow
  spark-proxy conf set log.level debug --file /etc/spark-proxy/common.properties
`,
  async run(args) {
    const [verb, ...rest] = args;
    if (verb === 'set' || verb === 'unset') return edit(verb, rest);
    if (verb === 'get') return get(rest);
    const values = parseOptions('conf', args, { json: { type: 'boolean' }, conf: { type: 'string', multiple: true } } as const);
    const effective = loadConfiguration({ flags: parseSettings('conf', values.conf ?? []) }).effective();
    if (values.json === true) process.stdout.write(`${JSON.stringify(effective, null, 2)}\n`);
    else
      process.stdout.write(
        `${table(
          ['key', 'value', 'from', 'meaning'],
          effective.map(({ key, value, where, doc }) => [key, value ?? '', where, doc]),
        )}\n`,
      );
    return 0;
  },
};

/** KEY and VALUE, and the file that `--file` names: the one that this process would read, else one in the first directory it looks in. */
function target(args: readonly string[], count: number): { readonly words: string[]; readonly path: string } {
  const words: string[] = [];
  let file: string | undefined;
  for (let i = 0; i < args.length; i++) {
    if (words.length < count && args[i] === '--file') file = args[++i];
    else words.push(args[i] as string);
  }
  if (words.length !== count) throw CLI_ERRORS.USAGE({ command: 'conf', reason: `${count} arguments are needed, ${words.length} were given` });
  const [directory] = propertiesDirectories(process.env);
  const path = file ?? findPropertiesFile(process.env) ?? (directory === undefined ? undefined : join(directory, PROPERTIES_FILE));
  if (path === undefined) throw CLI_ERRORS.USAGE({ command: 'conf', reason: 'no properties file: give --file, or set EXTERNAL_SPARK_CONF_DIR' });
  return { words, path };
}

/** The edited file is checked as a whole before it takes the place of the old one. */
function edit(verb: 'set' | 'unset', args: readonly string[]): number {
  const { words, path } = target(args, verb === 'set' ? 2 : 1);
  const [key, value] = words as [string, string | undefined];
  const content = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const edited = editProperties(content, key, value, path);
  new Configuration(parseProperties(edited, path));
  if (edited !== content) replaceFile(path, edited);
  const live = (LIVE_KEYS as readonly string[]).includes(key);
  process.stdout.write(`${printable(path)}: ${edited === content ? 'unchanged' : live ? 'takes effect at once' : 'takes effect at the next start'}\n`);
  return 0;
}

function get(args: readonly string[]): number {
  const [key] = args;
  const found = loadConfiguration({})
    .effective()
    .find((setting) => setting.key === key);
  if (found === undefined) throw CONFIG_ERRORS.UNKNOWN_KEY({ key, where: 'command line', hint: 'see `spark-proxy conf` for every key' });
  if (found.value !== undefined) process.stdout.write(`${printable(found.value)}\n`);
  return found.value === undefined ? 1 : 0;
}
