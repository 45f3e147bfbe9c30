import { Worker } from 'node:worker_threads';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureEditor, serializeGraph } from '../../src/closure/index.ts';
import { addEditor } from '../../src/loader/hook.ts';
import type { Case } from './fixtures/case.ts';

let worker: Worker;

beforeAll(() => {
  // No module hook there: by-value code must need none.
  worker = new Worker(new URL('./fixtures/rebuild.ts', import.meta.url), { execArgv: [] }).setMaxListeners(0) as Worker;
});
afterAll(() => worker.terminate());

interface Answer {
  readonly result?: unknown;
  readonly error?: { readonly message: string; readonly stack: string };
}

async function runThere(fn: unknown, args: readonly unknown[] = []): Promise<Answer> {
  const { bytes } = serializeGraph(fn);
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.postMessage({ bytes, args });
  });
}

async function check({ make, args, expected }: Case): Promise<void> {
  const answer = await runThere(make(), args);
  if (answer.error !== undefined) throw new Error(answer.error.stack);
  expect(answer.result).toEqual(expected);
}

const capture = captureEditor();
addEditor({ ...capture, wants: (module) => !module.url.includes('?plain') && capture.wants(module) });
/** Each file is loaded twice: as the hook makes it, and as it stands. */
const allCases = async (query = ''): Promise<Case[]> => {
  const files = ['functions', 'classes', 'values', 'places', 'identity'].map(
    (subject) => import(`./fixtures/cases-${subject}.ts${query}`) as Promise<{ cases: readonly Case[] }>,
  );
  return (await Promise.all(files)).flatMap(({ cases }) => cases);
};
const hooked = await allCases();
const plain = await allCases('?plain');

describe('with the load-time transform, a thread rebuilds', () => {
  for (const one of hooked) test(one.name, () => check(one));
});

describe('with the inspector alone, a thread rebuilds', () => {
  for (const one of plain) {
    if (one.hookOnly === undefined) test(one.name, () => check(one));
    else if (one.hookOnly.startsWith('two closures')) continue;
    else test(`not: ${one.name}`, () => expect(() => serializeGraph(one.make())).toThrow(/--import spark-proxy\/register/));
  }
});

describe('functions of CommonJS modules', () => {
  const load = (query: string): Record<string, (...args: never[]) => unknown> => {
    const require = createRequire(import.meta.url);
    const path = require.resolve('./fixtures/legacy.cjs');
    delete require.cache[path];
    addEditor({ ...capture, wants: (module) => query === '' && !module.url.includes('?plain') && capture.wants(module) });
    return require(path) as never;
  };
  for (const [how, query] of [
    ['with the transform', ''],
    ['with the inspector', 'plain'],
  ] as const) {
    test(`travel by reference when exported, by value when not, ${how}`, async () => {
      const legacy = load(query);
      expect(await runThere(legacy['times'], [7])).toEqual({ result: 42 });
      expect(await runThere(legacy['here'])).toEqual({ result: 'legacy.cjs' });
      expect(await runThere(legacy['lazy'])).toEqual({ result: 'a/b' });
      expect(await runThere((legacy['jsonOf'] as (key: string) => unknown)('k'))).toEqual({ result: 40 });
      expect(await runThere((legacy['make'] as (k: number) => unknown)(2), [1])).toEqual({ result: 13 });
      const { sloppy } = legacy;
      expect(await runThere(sloppy)).toEqual({ result: 'object' });
    });
  }

  test('are as strict there as here, and see the functions that they see here', async () => {
    const made = load('')['made'] as unknown as Record<string, (...args: never[]) => unknown>;
    expect(await runThere(made['strict'])).toEqual({ result: 'undefined' });
    expect(await runThere(made['loose'])).toEqual({ result: 'object' });
    expect(await runThere(made['hoisted'], [2])).toEqual({ result: 12 });
    expect(await runThere(made['later'], [2])).toEqual({ result: 10 });
  });
});
