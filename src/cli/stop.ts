import { ADMIN_HELP, ADMIN_OPTIONS, askOnce, printJson } from './admin-client.ts';
import { parseWithArguments, type Command } from './command.ts';

export const stopCommand: Command = {
  name: 'stop',
  summary: 'stop an application of Apache Spark from outside',
  help: `Usage: spark-proxy stop APPLICATION --url URL [options]

Calls SparkContext.stop in its driver. APPLICATION is its id or run id, as spark-proxy apps shows them.

${ADMIN_HELP}
Examples:
  spark-proxy stop app-20260101120000-0000 --url redis://10.0.0.5:6379
`,
  async run(args) {
    const { values, given } = parseWithArguments('stop', args, ADMIN_OPTIONS, ['APPLICATION']);
    const [application = ''] = given;
    const answer = await askOnce('stop', values, 'stop', { application });
    if (values.json === true) printJson(answer);
    else process.stdout.write('its context is being stopped\n');
    return 0;
  },
};
