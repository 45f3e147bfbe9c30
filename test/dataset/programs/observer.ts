/** A driver in a process of its own that only looks: rows of a dataset when asked, or, all the time, how many rows some datasets have at one snapshot. */
import { openDatasets } from '../../../src/dataset/index.ts';

export type Question = { readonly read: string } | { readonly watch: readonly string[] } | { readonly stop: true };

const datasets = await openDatasets({ store: process.argv[2] as string });
let watching: Promise<string[]> | undefined;
let stopped = false;

async function sizes(names: readonly string[]): Promise<string> {
  return datasets.execute(async (ds) => {
    const counts: number[] = [];
    for (const name of names) {
      let rows = 0;
      for await (const _ of ds.keyValue(name).scan()) rows += 1;
      counts.push(rows);
    }
    return counts.join(' ');
  });
}

/** What was seen, in order; what is the same as before is told once. */
async function watch(names: readonly string[]): Promise<string[]> {
  const seen: string[] = [];
  for (let last = false; !last;) {
    // Once more when told to stop, so that the end is seen.
    last = stopped;
    const now = await sizes(names);
    if (now !== seen.at(-1)) {
      if (seen.length === 0) process.send?.({ watching: true });
      seen.push(now);
    }
    // Messages are heard between looks.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return seen;
}

process.on('message', (question: Question) => {
  const answer = async (): Promise<unknown> => {
    if ('read' in question) {
      const rows: unknown[] = [];
      for await (const row of datasets.context.keyValue(question.read).scan()) rows.push(row);
      return { rows };
    }
    if ('watch' in question) {
      stopped = false;
      watching = watch(question.watch);
      watching.catch(() => undefined);
      return undefined;
    }
    stopped = true;
    return { seen: await watching };
  };
  answer().then(
    (told) => told === undefined || process.send?.(told),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
