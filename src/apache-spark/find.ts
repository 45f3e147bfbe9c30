/** Java and Apache Spark on this machine. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** Path of an executable on the PATH. */
function onPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  for (const directory of (env['PATH'] ?? '').split(delimiter)) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** Major version of the Java that Spark's programs will run: JAVA_HOME's, else the PATH's. Undefined: there is none. */
export function javaVersion(env: NodeJS.ProcessEnv): number | undefined {
  const home = env['JAVA_HOME'];
  const java = home === undefined || home === '' ? onPath('java', env) : join(home, 'bin', 'java');
  if (java === undefined) return undefined;
  try {
    const text = execFileSync(java, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 30_000 });
    const match = /(\d+)/.exec(text);
    return match === null ? undefined : Number(match[1]);
  } catch {
    // Java 8 knows no --version.
    return undefined;
  }
}

/** Home of the Spark that is meant: SPARK_HOME, else that of the spark-submit on the PATH. */
export function findSparkHome(env: NodeJS.ProcessEnv): string | undefined {
  const named = env['SPARK_HOME'];
  if (named !== undefined && named !== '') return named;
  const submit = onPath('spark-submit', env);
  return submit === undefined ? undefined : dirname(dirname(realpathSync(submit)));
}
