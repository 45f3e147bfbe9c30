/**
 * `npm run build:jvm`: builds the agent jar with Maven, quietly. Without the network first, so that what Maven has is used;
 * then with it. With `--if-possible` it says what is missing and ends with 0.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { globSync } from 'tinyglobby';
import { COMPONENTS } from './components.ts';

export const JVM = fileURLToPath(new URL('../jvm/', import.meta.url));
export const AGENT_JAR = `${JVM}target/spark-proxy-agent.jar`;

/** True when no source is newer than the jar. */
export function isAgentBuilt(): boolean {
  if (!existsSync(AGENT_JAR)) return false;
  const built = statSync(AGENT_JAR).mtimeMs;
  return globSync(['pom.xml', 'src/**'], { cwd: JVM, absolute: true }).every((file) => statSync(file).mtimeMs <= built);
}

/** Builds it if a source is newer. Undefined: it stands; else what is wrong. */
export function buildAgent(): string | undefined {
  if (isAgentBuilt()) return undefined;
  const maven = COMPONENTS.maven.find();
  if (maven === undefined || COMPONENTS.java.find() === undefined) return 'Java 17 (a JDK) and Maven are needed to build the agent jar: npm run services';
  const run = (...more: string[]) => spawnSync(maven, ['-q', '-B', '-ntp', ...more, 'package'], { cwd: JVM, encoding: 'utf8' });
  let result = run('-o');
  if (result.status !== 0) result = run();
  return result.status === 0 ? undefined : `Maven failed\n${result.stdout}${result.stderr}`;
}

if (import.meta.filename === process.argv[1]) {
  const problem = buildAgent();
  console.log(problem ?? AGENT_JAR);
  if (problem !== undefined && !process.argv.includes('--if-possible')) process.exitCode = 1;
}
