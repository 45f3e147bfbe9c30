import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { agentOptions, readSubmitSettings, splitSubmitArguments, type SubmitSettings } from '../../src/apache-spark/submit-arguments.ts';

const OWN = { workers: { type: 'string' }, internal: { type: 'boolean' } } as const;

describe('arguments of submit', () => {
  test('options of ours are taken from among those of spark-submit', () => {
    const args = ['--master', 'spark://h:1', '--workers', '2', '-c', 'a=b', '--internal', '--verbose', '--workers=3', 'pi.py', '--workers', '9'];
    expect(splitSubmitArguments(args, OWN)).toEqual({
      own: ['--workers', '2', '--internal', '--workers=3'],
      options: ['--master', 'spark://h:1', '-c', 'a=b', '--verbose'],
      application: ['pi.py', '--workers', '9'],
    });
  });

  test('a value of spark-submit that looks like an option of ours stays a value', () => {
    const { own, options } = splitSubmitArguments(['--name', '--internal', '--supervise', 'x.jar'], OWN);
    expect([own, options]).toEqual([[], ['--name', '--internal', '--supervise']]);
  });

  test('without an application there is none', () => {
    expect(splitSubmitArguments(['--status', 'driver-1', '--master', 'spark://h:1'], OWN).application).toEqual([]);
    expect(splitSubmitArguments(['--workers'], OWN)).toEqual({ own: ['--workers'], options: [], application: [] });
  });
});

describe('settings of a submission', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'spark-proxy-submit-'));
    writeFileSync(
      join(directory, 'spark-defaults.conf'),
      '# defaults\nspark.master  spark://h:7077\nspark.driver.defaultJavaOptions=-Da=1 -Db=2\r\nspark.submit.deployMode: cluster\n',
    );
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('come from spark-defaults.conf, and --conf wins', () => {
    const settings = readSubmitSettings([], '/none', { SPARK_CONF_DIR: directory });
    expect([settings.master, settings.deployMode, settings.get('spark.driver.defaultJavaOptions')]).toEqual(['spark://h:7077', 'cluster', '-Da=1 -Db=2']);
    const given = ['--deploy-mode', 'client', '--master=yarn', '--conf', 'spark.driver.defaultJavaOptions=-Dc=x=3'];
    const other = readSubmitSettings(given, '/none', { SPARK_CONF_DIR: directory });
    expect([other.master, other.deployMode, other.get('spark.driver.defaultJavaOptions')]).toEqual(['yarn', 'client', '-Dc=x=3']);
  });

  test('come from --properties-file instead of spark-defaults.conf', () => {
    const file = join(directory, 'other.conf');
    writeFileSync(file, 'spark.app.name x\n');
    const settings = readSubmitSettings(['--properties-file', file], '/none', { SPARK_CONF_DIR: directory });
    expect([settings.master, settings.get('spark.app.name')]).toEqual([undefined, 'x']);
  });
});

describe('options that bring the agent', () => {
  const settings = (values: Record<string, string>, master: string, deployMode: 'client' | 'cluster'): SubmitSettings => ({
    get: (key) => values[key],
    master,
    deployMode,
  });
  const plan = { jar: '/a/agent.jar', dispatcher: 'h:1', destination: undefined, keyFile: undefined, wait: true };

  test('stand before the options of the user, and keep those that an administrator put there', () => {
    expect(agentOptions(settings({ 'spark.driver.defaultJavaOptions': '-Da=1' }, 'spark://h:7077', 'client'), plan)).toEqual([
      '--conf',
      'spark.driver.defaultJavaOptions=-Da=1 -javaagent:/a/agent.jar',
      '--conf',
      'spark.proxy.dispatcher=h:1',
    ]);
  });

  test('let a standalone cluster wait for the application, whose dispatcher ends with submit', () => {
    const keyed = { ...plan, keyFile: '/etc/keys' };
    expect(agentOptions(settings({}, 'spark://h:7077', 'client'), keyed)).toContain('spark.proxy.key.file=/etc/keys');
    expect(agentOptions(settings({ 'spark.proxy.key.file': '/own' }, 'spark://h:7077', 'client'), keyed).join(' ')).not.toContain('/etc/keys');
    expect(agentOptions(settings({}, 'spark://h:7077', 'cluster'), plan)).toContain('spark.standalone.submit.waitAppCompletion=true');
    expect(agentOptions(settings({}, 'spark://h:7077', 'cluster'), { ...plan, wait: false }).join(' ')).not.toContain('waitAppCompletion');
  });

  test('are among those of the user where a standalone cluster starts the driver: it looks at no others', () => {
    const own = { 'spark.driver.extraJavaOptions': '-Da=1', 'spark.driver.defaultJavaOptions': '-Db=2' };
    expect(agentOptions(settings(own, 'spark://h:7077', 'cluster'), plan).slice(0, 2)).toEqual(['--driver-java-options', '-Da=1 -javaagent:/a/agent.jar']);
    expect(agentOptions(settings(own, 'spark://h:7077', 'cluster'), plan).join(' ')).not.toContain('defaultJavaOptions');
    const flags = ['--conf', 'spark.driver.extraJavaOptions=-Dc=3', '--driver-java-options', '-Dd=4', '--deploy-mode', 'cluster', '--master', 'spark://h:1'];
    expect(agentOptions(readSubmitSettings(flags, '/none', {}), plan)[1]).toBe('-Dd=4 -javaagent:/a/agent.jar');
  });

  test('send the jar along where YARN starts the driver', () => {
    const options = agentOptions(settings({ 'spark.yarn.dist.files': 'hdfs:/x' }, 'yarn', 'cluster'), { ...plan, destination: 'internal' });
    expect(options.filter((option) => option !== '--conf')).toEqual([
      'spark.yarn.dist.files=hdfs:/x,file:///a/agent.jar#spark-proxy-agent.jar',
      'spark.driver.defaultJavaOptions=-javaagent:spark-proxy-agent.jar',
      'spark.proxy.dispatcher=h:1',
      'spark.proxy.reschedule.dst.executor=internal',
    ]);
  });
});
