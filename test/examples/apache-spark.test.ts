import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { buildAgent } from '../../tools/build-jvm.ts';
import { describeWith } from '../support/requires.ts';
import { shortLived, sparkEnvironment, sparkHome, startProgram } from '../support/spark.ts';

const START = fileURLToPath(new URL('../../examples/05-apache-spark/start.ts', import.meta.url));

describeWith(['java', 'maven', 'python', 'spark'], '05-apache-spark', () => {
  test('the same application on Spark alone and on external executors gives the same result', async () => {
    expect(buildAgent()).toBeUndefined();
    const program = startProgram(process.execPath, [START], sparkEnvironment(sparkHome(), { JAVA_TOOL_OPTIONS: shortLived(sparkHome()) }));
    const code = await program.ended;
    const { stdout, stderr } = program.output;
    await program.stop();
    expect(code, stderr.slice(-4000)).toBe(0);
    expect(stdout.match(/^ +\d+ {2}\w+$/gm)).toHaveLength(10);
    expect(stdout).toContain('Both ways give the same result.');
    const [, tasks, outside] = /words \(app-\S+, Spark [\d.]+, destination external\): (\d+) tasks, (\d+) outside, 0 inside/.exec(stderr) ?? [];
    expect(Number(tasks)).toBeGreaterThan(0);
    expect(outside).toBe(tasks);
    expect([...stderr.matchAll(/^ {2}worker-\w+ on \S+: \d+ tasks$/gm)]).toHaveLength(2);
  }, 400_000);
});
