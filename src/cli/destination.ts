import { ADMIN_HELP, ADMIN_OPTIONS, askOnce, printJson } from './admin-client.ts';
import { parseWithArguments, type Command } from './command.ts';
import { CLI_ERRORS } from './errors.ts';

export const destinationCommand: Command = {
  name: 'destination',
  summary: 'send the tasks of Apache Spark out or let them run inside, while it runs',
  help: `Usage: spark-proxy destination external|internal [APPLICATION] --url URL [options]

What reschedule.dst.executor says, from the next launch on: of one application, or of all that run and those to come. What
runs goes on where it is.

${ADMIN_HELP}
Examples:
  spark-proxy destination internal app-20260101120000-0000 --url redis://10.0.0.5:6379
  spark-proxy destination external
`,
  async run(args) {
    const { values, given } = parseWithArguments('destination', args, ADMIN_OPTIONS, ['DESTINATION', '[APPLICATION]']);
    const [destination, application] = given;
    if (destination !== 'external' && destination !== 'internal')
      throw CLI_ERRORS.USAGE({ command: 'destination', reason: `${destination}: expected external or internal` });
    const answer = await askOnce('destination', values, 'destination', { destination, application });
    if (values.json === true) printJson(answer);
    else process.stdout.write(`the next tasks run ${destination === 'external' ? 'outside' : 'inside'}\n`);
    return 0;
  },
};
