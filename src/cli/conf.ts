import { loadConfiguration } from '../core/config.ts';
import { table } from '../observe/table.ts';
import { parseOptions, parseSettings, type Command } from './command.ts';

export const confCommand: Command = {
  name: 'conf',
  summary: 'print the effective configuration and where each value came from',
  help: `Usage: spark-proxy conf [--json] [--conf KEY=VALUE]...

Order, later wins: defaults, common.properties (in SPARK_CONF_DIR, EXTERNAL_SPARK_CONF_DIR, HADOOP_CONF_DIR or
$EXTERNAL_SPARK_HOME/conf), SparkConf of the program (spark.proxy.<key>), environment (SPARK_PROXY_<KEY>), flags.

Examples:
  spark-proxy conf
  spark-proxy conf --json | jq .
`,
  async run(args) {
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
