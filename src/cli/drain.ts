import { ADMIN_HELP, ADMIN_OPTIONS, askOnce, printJson } from './admin-client.ts';
import { parseWithArguments, type Command } from './command.ts';

export const drainCommand: Command = {
  name: 'drain',
  summary: 'let a worker finish what it has and end',
  help: `Usage: spark-proxy drain WORKER --url URL [options]

The worker gets nothing more, returns what has not begun, finishes what runs (for worker.drain.grace at most) and ends.
Nothing is lost: what it returns runs elsewhere.

${ADMIN_HELP}
Examples:
  spark-proxy drain worker-9f2c61d0a4b3 --url tcp://127.0.0.1:7077
`,
  async run(args) {
    const { values, given } = parseWithArguments('drain', args, ADMIN_OPTIONS, ['WORKER']);
    const answer = await askOnce('drain', values, 'drain', { worker: given[0] ?? '' });
    if (values.json === true) printJson(answer);
    else process.stdout.write('the worker drains\n');
    return 0;
  },
};
