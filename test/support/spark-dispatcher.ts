/** A dispatcher with an agent port as a process of its own, which tests may kill: `spark-dispatcher.ts URL AGENT-PORT WORKERS`. */
import { startSparkHost } from '../../src/cli/spark-host.ts';
import { loadConfiguration } from '../../src/core/config.ts';
import { setLogLevel } from '../../src/core/logger.ts';

const [url, agentPort, expectedWorkers] = process.argv.slice(2) as [string, string, string];
const configuration = loadConfiguration({});
setLogLevel(configuration.get('log.level'));
const host = await startSparkHost(configuration, { url, agentPort: Number(agentPort), expectedWorkers: Number(expectedWorkers) });
console.log(`SERVES ${host.url} ${host.agents.address}`);
/** What it knows of its applications, when it is asked. */
process.on('SIGUSR2', () => console.log(`APPLICATIONS ${JSON.stringify(host.agents.applications())}`));
process.on('SIGTERM', () => {
  void host.close().finally(() => process.exit(0));
});
