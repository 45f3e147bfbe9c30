import { ADMIN_HELP, ADMIN_OPTIONS, askOnce, printJson } from './admin-client.ts';
import { parseOptions, type Command } from './command.ts';
import { showHosts } from './show.ts';

export const hostsCommand: Command = {
  name: 'hosts',
  summary: 'workers: host, slots, load, labels, health',
  help: `Usage: spark-proxy hosts --url URL [options]

A line a worker. State is active, draining, excluded (its host failed too often lately and is given nothing for a while), or lost.

${ADMIN_HELP}
Examples:
  spark-proxy hosts --url tcp://127.0.0.1:7077
  spark-proxy hosts --json | jq -r '.[] | select(.state == "excluded") | .host'
`,
  async run(args) {
    const values = parseOptions('hosts', args, ADMIN_OPTIONS);
    const { workers } = await askOnce('hosts', values, 'status', {});
    if (values.json === true) printJson(workers);
    else process.stdout.write(`${showHosts(workers)}\n`);
    return 0;
  },
};
