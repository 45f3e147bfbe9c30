import { ADMIN_HELP, ADMIN_OPTIONS, askOnce, printJson } from './admin-client.ts';
import { parseWithArguments, wholeNumber, type Command } from './command.ts';

export const killCommand: Command = {
  name: 'kill',
  summary: 'end all tasks of an application, or one of them',
  help: `Usage: spark-proxy kill APPLICATION [TASK] --url URL [options]

Ends the tasks that live now, wherever they are: waiting, or running on a worker. The application is told that they were
killed. It is not ended itself, and may launch others.

${ADMIN_HELP}
Examples:
  spark-proxy kill app-0f3c2a91b7de --url tcp://127.0.0.1:7077
  spark-proxy kill app-0f3c2a91b7de 42
`,
  async run(args) {
    const { values, given } = parseWithArguments('kill', args, ADMIN_OPTIONS, ['APPLICATION', '[TASK]']);
    const [application = '', task] = given;
    const taskId = task === undefined ? undefined : wholeNumber('kill', 'TASK', task);
    const answer = await askOnce('kill', values, 'kill', { application, taskId });
    if (values.json === true) printJson(answer);
    else process.stdout.write(`${answer.killed} ${answer.killed === 1 ? 'task is' : 'tasks are'} being ended\n`);
    return 0;
  },
};
