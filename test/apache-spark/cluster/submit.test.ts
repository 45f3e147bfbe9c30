import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { buildAgent } from '../../../tools/build-jvm.ts';
import { COMPONENTS } from '../../../tools/components.ts';
import { describeWith } from '../../support/requires.ts';
import { insideTasks, sparkEnvironment, sparkHome, startProgram, startStandalone, submitApplication } from '../../support/spark.ts';

const CLI = fileURLToPath(new URL('../../../bin/spark-proxy.js', import.meta.url));
const PI = fileURLToPath(new URL('../../../jvm/examples/SparkPi.java', import.meta.url));
const SUBMIT = [process.execPath, CLI, 'submit'];

/** The CLI with no application to run: it must end by itself, soon. */
async function cli(args: readonly string[], env: NodeJS.ProcessEnv): Promise<{ code: number | string; stderr: string }> {
  const program = startProgram(process.execPath, [CLI, 'submit', ...args], env);
  const code = await program.ended;
  return { code, stderr: program.output.stderr };
}

test('submit says what to install when there is no Java, or no Spark', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'spark-proxy-empty-'));
  try {
    const env = { PATH: `${dirname(process.execPath)}`, HOME: empty };
    const without = await cli(['--master', 'spark://h:1', 'pi.py'], env);
    expect(without).toMatchObject({ code: 2, stderr: expect.stringContaining('openjdk-17') as string });
    // A Java that says what Java 11 says.
    writeFileSync(join(empty, 'java'), '#!/bin/sh\necho openjdk 11.0.2 2019-01-15\n', { mode: 0o755 });
    const old = await cli(['--master', 'spark://h:1', 'pi.py'], { ...env, PATH: `${empty}:${env.PATH}:/bin:/usr/bin`, JAVA_HOME: '' });
    expect(old.stderr).toMatch(/needs Java 17 or newer; found: 11/);
    writeFileSync(join(empty, 'java'), '#!/bin/sh\necho openjdk 17.0.15 2025-04-15\n', { mode: 0o755 });
    const bare = await cli(['--master', 'spark://h:1', 'pi.py'], { ...env, PATH: `${empty}:${env.PATH}:/bin`, JAVA_HOME: '' });
    expect(bare).toMatchObject({ code: 2, stderr: expect.stringContaining('SP_CLI_NO_SPARK') as string });
  } finally {
    rmSync(empty, { recursive: true });
  }
});

describeWith(['java', 'maven', 'python', 'spark'], 'spark-proxy submit', () => {
  test('refuses a master whose tasks cannot be moved, and what is no application', async () => {
    expect(buildAgent()).toBeUndefined();
    const env = sparkEnvironment(sparkHome());
    expect((await cli(['--master', 'local[2]', 'pi.py'], env)).stderr).toContain('SP_CLI_LOCAL_MASTER');
    expect((await cli(['--workers', '1'], env)).stderr).toContain('no application is given');
    expect((await cli(['--dispatcher', 'h:1', '--workers', '1', '--master', 'yarn', 'a.py'], env)).stderr).toContain('--dispatcher names another');
  }, 120_000);

  // Client mode is what test/examples/apache-spark.test.ts runs.
  test.skipIf(process.env['SPARK_SUITE'] !== 'full')(
    'runs a Java application in cluster mode, and says where its tasks ran',
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-pi-'));
      const cluster = await startStandalone({ cores: 3 });
      try {
        const javac = COMPONENTS.java.find() as string;
        execFileSync(javac, ['-cp', join(sparkHome(), 'jars', '*'), '-d', directory, PI]);
        execFileSync(join(dirname(javac), 'jar'), ['cf', 'pi.jar', '-C', directory, '.'], { cwd: directory });
        const { stderr, log } = await submitApplication({
          command: [...SUBMIT, '--workers', '1', '--slots', '2'],
          master: cluster.master,
          options: ['--deploy-mode', 'cluster', '--class', 'SparkPi'],
          application: [join(directory, 'pi.jar'), '6'],
        }).result();
        expect(log.tasks).toHaveLength(6);
        expect(insideTasks(log)).toEqual([]);
        expect(stderr).toMatch(/SparkPi \(app-\S+, Spark 4\.\d+\.\d+, destination external\): 6 tasks, 6 outside, 0 inside/);
        expect(stderr).toMatch(/^ {2}worker-\w+ on \S+: 6 tasks$/m);
      } finally {
        await cluster.stop();
        rmSync(directory, { recursive: true });
      }
    },
    600_000,
  );
});
