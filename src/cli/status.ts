import { ADMIN_HELP, ADMIN_OPTIONS, askOnce, printJson } from './admin-client.ts';
import { parseOptions, type Command } from './command.ts';
import { showStatus } from './show.ts';

export const statusCommand: Command = {
  name: 'status',
  summary: 'dispatchers with their roles, workers and applications',
  help: `Usage: spark-proxy status --url URL [options]

Who leads and who stands by, the workers and what they do, the applications and whether their tasks go through the service.

${ADMIN_HELP}
Examples:
  spark-proxy status --url tcp://127.0.0.1:7077
  spark-proxy status --json | jq '.workers | length'
`,
  async run(args) {
    const values = parseOptions('status', args, ADMIN_OPTIONS);
    const status = await askOnce('status', values, 'status', {});
    if (values.json === true) printJson(status);
    else process.stdout.write(`${showStatus(status)}\n`);
    return 0;
  },
};
