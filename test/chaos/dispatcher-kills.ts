/**
 * Two dispatchers, three workers, a job; at a random moment the leader is killed or asked to stop, or a worker is killed, or both:
 * `npm run chaos -- dispatcher [times]`. The job's sums and its accumulator tell whether anything was lost or counted twice.
 */
import { Cluster, SUMS, SUMS_ANSWER, SUMS_TASKS } from '../e2e/cluster.ts';
import { freePort } from '../support/server-process.ts';

const FAULTS = ['leader killed', 'leader asked to stop', 'worker killed', 'leader and worker killed'] as const;

async function once(fault: (typeof FAULTS)[number], moment: number): Promise<string | undefined> {
  const cluster = new Cluster(`tcp://127.0.0.1:${await freePort()}`);
  try {
    const leader = await cluster.dispatcher();
    const standby = await cluster.dispatcher();
    const workers = await Promise.all([cluster.worker(), cluster.worker(), cluster.worker()]);
    const program = await cluster.program([SUMS, '60'], ['dispatcher.takeover=60s']);
    await cluster.until(({ tasks }) => tasks.finished >= moment);
    if (fault.includes('leader')) await leader.end(fault.includes('asked') ? 'SIGTERM' : 'SIGKILL');
    if (fault.includes('worker')) await workers[moment % workers.length]?.end('SIGKILL');
    const code = await program.ended.catch((error: Error) => error.message);
    if (code === 0 && program.output.stdout.trim() === SUMS_ANSWER) return undefined;
    return [`exit ${code}, ${program.output.stdout}`, program.output.stderr, ...[leader, standby, ...workers].map((one) => one.log())].join('\n----\n');
  } finally {
    await cluster.close();
  }
}

/** False: a job went wrong. */
export async function runDispatcherChaos(times: number): Promise<boolean> {
  let wrong = 0;
  for (let i = 0; i < times; i++) {
    const fault = FAULTS[i % FAULTS.length] as (typeof FAULTS)[number];
    const moment = Math.floor(Math.random() * SUMS_TASKS * 0.8);
    const problem = await once(fault, moment);
    if (problem !== undefined) wrong++;
    console.log(`${i + 1}: ${fault} after ${moment} tasks: ${problem === undefined ? 'right' : `WRONG\n${problem}`}`);
  }
  console.log(wrong === 0 ? `${times} times right` : `${wrong} of ${times} wrong`);
  return wrong === 0;
}
