/** Stands for an executor's JVM in tests of the worker: links itself, and ends each task as its id says. */
import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { FRAME, FrameWriter } from '../../src/apache-spark/frames.ts';
import { connectAgent } from '../support/spark-agent.ts';

const { SPARK_PROXY_LINK = '', SPARK_PROXY_TOKEN = '', SPARK_EXECUTOR_ATTRIBUTE_SPARK_PROXY_EXECUTOR = '', _SPARK_AUTH_SECRET, SPARK_HOME } = process.env;
writeFileSync('seen.json', JSON.stringify({ args: process.argv.slice(2), secret: _SPARK_AUTH_SECRET, home: SPARK_HOME }));
const hello = { role: 'executor', executorId: SPARK_EXECUTOR_ATTRIBUTE_SPARK_PROXY_EXECUTOR, token: SPARK_PROXY_TOKEN };
const agent = await connectAgent(SPARK_PROXY_LINK, { hello });
writeFileSync('most', agent.welcome.get('tasks') ?? '');
void agent.closed.then(() => process.exit(1));
void agent.next(FRAME.stop, 2 ** 31 - 1).then(() => process.exit(0));

async function run(taskId: number): Promise<void> {
  const say = (state: string): void => agent.send(new FrameWriter(FRAME.status).u64(taskId).string(state));
  say('RUNNING');
  if (taskId === 66) process.exit(52);
  // Held until the test lets it go.
  while ((taskId === 77 || taskId >= 1000) && !existsSync('../../release')) await wait(10);
  say(taskId === 13 ? 'FAILED' : 'FINISHED');
}

for (;;) {
  const bytes = (await agent.next(FRAME.run, 2 ** 31 - 1)).rest();
  const taskId = Number(bytes.readBigInt64BE());
  appendFileSync('tasks', `${taskId}${bytes.subarray(8).toString()}\n`);
  void run(taskId);
}
