// Says that it can be sampled, then does what it is told, a line a command, and says the answer.
import { createInterface } from 'node:readline';

export async function serve(commands) {
  console.log('BENCH ready');
  for await (const line of createInterface({ input: process.stdin })) {
    const [name, input, partitions] = line.split('\t');
    if (name === 'end') break;
    console.log(`BENCH ${await commands[name](input, Number(partitions))}`);
  }
}
