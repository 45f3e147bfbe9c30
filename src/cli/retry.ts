import { ADMIN_HELP, ADMIN_OPTIONS, askOnce, printJson } from './admin-client.ts';
import { parseWithArguments, wholeNumber, type Command } from './command.ts';

export const retryCommand: Command = {
  name: 'retry',
  summary: 'run a parked task again, or drop it',
  help: `Usage: spark-proxy retry APPLICATION TASK --url URL [options]

A task that was lost on too many workers is parked; when its application asks for that (poison: hold), it waits there for an
operator. See them with: spark-proxy tasks (parked ones).

      --drop           do not run it: its application is told that it failed
${ADMIN_HELP}
Examples:
  spark-proxy retry app-0f3c2a91b7de 42 --url tcp://127.0.0.1:7077
  spark-proxy retry app-0f3c2a91b7de 42 --drop
`,
  async run(args) {
    const options = { ...ADMIN_OPTIONS, drop: { type: 'boolean' } } as const;
    const { values, given } = parseWithArguments('retry', args, options, ['APPLICATION', 'TASK']);
    const taskId = wholeNumber('retry', 'TASK', given[1] ?? '');
    const answer = await askOnce('retry', values, 'retry', { application: given[0] ?? '', taskId, drop: values.drop });
    if (values.json === true) printJson(answer);
    else process.stdout.write(values.drop === true ? 'the task is dropped\n' : 'the task runs again\n');
    return 0;
  },
};
