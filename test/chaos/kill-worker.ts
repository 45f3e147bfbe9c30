/** Kills one of two workers with SIGKILL at a random moment of a job, many times: `node test/chaos/kill-worker.ts [times]`. */
import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { run, start, workerPids } from '../e2e/run-program.ts';

const times = Number(process.argv[2] ?? '20');
const program = new URL('../e2e/programs/wordcount.ts', import.meta.url).pathname;
const files = 'node_modules/**/{*.md,*.d.ts,LICENSE*}';
const args = (...options: string[]): string[] => ['run', ...options, program, files, '24'];

const expected = await run(args('--internal'));
console.log(`inside: ${expected.stdout.trim()}`);
const undisturbed = start(args('--workers', '2', '--conf', 'log.level=info'));
await workerPids(undisturbed, 2);
const began = performance.now();
await undisturbed.ended;
const calm = performance.now() - began;
console.log(`on two workers, undisturbed: ${(calm / 1000).toFixed(2)} s from when they are ready`);
let failures = 0;
for (let i = 1; i <= times; i++) {
  const running = start(args('--workers', '2', '--summary', '--conf', 'log.level=info'), { timeoutMs: 90_000 });
  const pids = await workerPids(running, 2);
  const moment = Math.random() * calm;
  await wait(moment);
  const victim = pids[Math.floor(Math.random() * 2)] as number;
  let killed = true;
  try {
    process.kill(victim, 'SIGKILL');
  } catch {
    killed = false;
  }
  const code = await running.ended.catch((error: Error) => error.message);
  const right = code === 0 && running.output.stdout === expected.stdout;
  if (!right) failures += 1;
  const head = /destination external.*/.exec(running.output.stderr)?.[0] ?? '';
  console.log(
    `${i}: killed ${killed ? `after ${moment.toFixed(0)} ms` : 'too late'}; ${right ? 'right' : `WRONG: exit ${code}, ${running.output.stdout.trim()}`}; ${head}`,
  );
  if (!right) console.log(running.output.stderr.split('\n').slice(-30).join('\n'));
}
console.log(failures === 0 ? `${times} times right` : `${failures} of ${times} wrong`);
process.exitCode = failures === 0 ? 0 : 1;
