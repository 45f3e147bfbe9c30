/**
 * `node examples/05-apache-spark/start.ts`: a plain PySpark application twice: on Apache Spark alone, then with its tasks moved
 * to two external executors by `spark-proxy submit`. The same lines twice, and a table of where the tasks ran.
 * It needs Java 17, Python 3 and Apache Spark (SPARK_HOME, or `npm run services`), and the agent jar (`npm run build:jvm`).
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findSpark } from '../../tools/spark.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));
const home = findSpark();
if (home === undefined) {
  console.error('Apache Spark is missing: set SPARK_HOME, or run npm run services');
  process.exit(1);
}
const env = { ...process.env, SPARK_HOME: home, SPARK_LOCAL_IP: '127.0.0.1' };
/** A cluster of one worker with two cores, which spark-submit itself starts and stops. */
const cluster = ['--master', 'local-cluster[1,2,1024]', '--conf', 'spark.ui.enabled=false', '--conf', 'spark.log.level=ERROR'];
const application = [join(here, 'words.py'), join(root, 'docs', 'aspects.md'), join(root, 'docs', 'closures.md')];

function run(title: string, command: string, args: readonly string[]): string {
  console.log(`\n${title}`);
  const { status, stdout } = spawnSync(command, args, { env, cwd: here, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  process.stdout.write(stdout);
  if (status !== 0) process.exit(status ?? 1);
  return stdout;
}

const alone = run('Apache Spark alone:', join(home, 'bin', 'spark-submit'), [...cluster, ...application]);
const options = ['submit', '--workers', '2', '--slots', '1', ...cluster, ...application];
const outside = run('Its tasks on two external executors:', process.execPath, [join(root, 'bin', 'spark-proxy.js'), ...options]);
console.log(alone === outside ? '\nBoth ways give the same result.' : '\nThe results DIFFER.');
process.exitCode = alone === outside ? 0 : 1;
