import { ADMIN_HELP, ADMIN_OPTIONS, askOnce, printJson } from './admin-client.ts';
import { parseOptions, type Command } from './command.ts';
import { showApps } from './show.ts';

export const appsCommand: Command = {
  name: 'apps',
  summary: 'applications of Apache Spark: executors, tasks outside and inside, added latency',
  help: `Usage: spark-proxy apps --url URL [options]

Applications whose drivers have our agent, and those that ended last. "Outside" and "inside" are counted from Spark's own events.

${ADMIN_HELP}
Examples:
  spark-proxy apps --url redis://10.0.0.5:6379
  spark-proxy apps --json | jq '.[] | {id, outside: .figures.endedOutside, inside: .figures.endedInside}'
`,
  async run(args) {
    const values = parseOptions('apps', args, ADMIN_OPTIONS);
    const { applications } = await askOnce('apps', values, 'apps', {});
    if (values.json === true) printJson(applications);
    else process.stdout.write(`${showApps(applications)}\n`);
    return 0;
  },
};
