// The main job: the same program on two external worker processes, then inside; both must say the same.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../bin/spark-proxy.js', import.meta.url));
const program = fileURLToPath(new URL('main.ts', import.meta.url));

async function run(title: string, options: readonly string[]): Promise<string> {
  console.log(`\n== ${title} ==`);
  const child = spawn(process.execPath, [cli, 'run', ...options, '--progress', '--summary', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    process.stdout.write(text);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) {
    console.error(`the program ended with exit code ${code}`);
    process.exit(code ?? 1);
  }
  return output;
}

const outside = await run('on two external worker processes over tcp', ['--workers', '2', '--external']);
const inside = await run('inside', ['--internal']);
if (outside !== inside) {
  console.error('\nThe two runs differ.');
  process.exit(1);
}
console.log('\nBoth ways give the same result.');
