import { ADMIN_HELP, ADMIN_OPTIONS, askOnce, printJson } from './admin-client.ts';
import { parseOptions, wholeNumber, type Command } from './command.ts';
import { showTasks } from './show.ts';

export const tasksCommand: Command = {
  name: 'tasks',
  summary: 'where each task runs or ran; parked tasks with their story',
  help: `Usage: spark-proxy tasks --url URL [options]

Tasks that live, then those that ended last (the dispatcher remembers ten thousand), newest first.

      --application ID only those of one application
      --parked         tasks that were lost on too many workers, with what happened to them
      --limit N        at most so many (100)
${ADMIN_HELP}
Examples:
  spark-proxy tasks --url tcp://127.0.0.1:7077 --application app-0f3c2a91b7de
  spark-proxy tasks --parked
  spark-proxy tasks --json --limit 1000 | jq 'group_by(.worker) | map({worker: .[0].worker, tasks: length})'
`,
  async run(args) {
    const options = { ...ADMIN_OPTIONS, application: { type: 'string' }, parked: { type: 'boolean' }, limit: { type: 'string' } } as const;
    const values = parseOptions('tasks', args, options);
    const limit = values.limit === undefined ? undefined : wholeNumber('tasks', '--limit', values.limit, 1, 10_000);
    const { tasks } = await askOnce('tasks', values, 'tasks', { application: values.application, parked: values.parked, limit });
    if (values.json === true) printJson(tasks);
    else process.stdout.write(`${showTasks(tasks)}\n`);
    return 0;
  },
};
