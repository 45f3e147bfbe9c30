// Says that it can be sampled, then does what it is told, a line a command, and says the answer.
import { createInterface } from 'node:readline';

/** name -> what is done with its input; the answer, as text, must be the same for all systems. */
type Commands = Readonly<Record<string, (input: string, partitions: number) => unknown>>;

export async function serve(commands: Commands): Promise<void> {
  console.log('BENCH ready');
  for await (const line of createInterface({ input: process.stdin })) {
    const [name = '', input = '', partitions] = line.split('\t');
    if (name === 'end') break;
    console.log(`BENCH ${String(await commands[name]?.(input, Number(partitions)))}`);
  }
}
