/**
 * `npm run build:jvm`: builds the agent jar with Maven, quietly. Without the network first, so that what Maven has is used;
 * then with it. With `--if-possible` it says what is missing and ends with 0.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
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

/**
 * Builds it if a source is newer. Undefined: it stands; else what is wrong. Several processes may do so at a time (test files do):
 * each builds in a directory of its own, and its jar takes the place of the old one whole.
 */
export function buildAgent(): string | undefined {
  if (isAgentBuilt()) return undefined;
  const maven = COMPONENTS.maven.find();
  if (maven === undefined || COMPONENTS.java.find() === undefined) return 'Java 17 (a JDK) and Maven are needed to build the agent jar: npm run services';
  mkdirSync(`${JVM}target`, { recursive: true });
  const directory = mkdtempSync(`${JVM}target/build-`);
  try {
    const run = (...more: string[]) =>
      spawnSync(maven, ['-q', '-B', '-ntp', `-Dagent.target=${directory}`, ...more, 'package'], { cwd: JVM, encoding: 'utf8' });
    let result = run('-o');
    if (result.status !== 0) result = run();
    if (result.status !== 0) return `Maven failed\n${result.stdout}${result.stderr}`;
    renameSync(join(directory, basename(AGENT_JAR)), AGENT_JAR);
    return undefined;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

if (import.meta.filename === process.argv[1]) {
  const problem = buildAgent();
  console.log(problem ?? AGENT_JAR);
  if (problem !== undefined && !process.argv.includes('--if-possible')) process.exitCode = 1;
}
