// The floor: the same work, one thread, no engine.
import { createReadStream } from 'node:fs';
import { serve } from './commands.ts';

async function words(file: string): Promise<string> {
  const counts = new Map<string, number>();
  const count = (line: string): void => {
    for (const word of line.match(/[A-Za-z0-9_]+/g) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  };
  let rest = '';
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 1 << 20 }) as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) count(line);
  }
  count(rest);
  let [total, distinct, squares] = [0, 0, 0];
  for (const n of counts.values()) {
    total += n;
    distinct += 1;
    squares += n * n;
  }
  return `${total} ${distinct} ${squares}`;
}

// Points of the R2 sequence (M. Roberts, 2018): the same in all languages, so that all must count the same.
function isInside(i: number): number {
  const u = i * 0.7548776662466927;
  const v = i * 0.5698402909980532;
  const x = (u - Math.floor(u)) * 2 - 1;
  const y = (v - Math.floor(v)) * 2 - 1;
  return x * x + y * y <= 1 ? 1 : 0;
}

function pi(input: string): number {
  const samples = Number(input);
  let inside = 0;
  for (let i = 0; i < samples; i++) inside += isInside(i);
  return inside;
}

await serve({ words, pi });
process.exit();
