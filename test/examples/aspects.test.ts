import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { run } from '../e2e/run-program.ts';

async function example(name: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const path = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
  const { code, stdout, stderr } = await run(['run', path], { env, timeoutMs: 120_000 });
  expect(code, stderr).toBe(0);
  return stdout;
}

test('10-caching: calls at the same time share one request, failures are not kept', async () => {
  expect(await example('10-caching/main.ts')).toBe('400,500,400,400 with 2 requests\nno article: asked again, 4 requests\nswitched off: 5 requests\n');
});

test('11-retry: a method is run again with backoff, and only for the errors meant', async () => {
  expect(await example('11-retry/main.ts')).toBe(
    'stock failed (503), attempt 1 of 4\nstock failed (503), attempt 2 of 4\nstock 7 after 3 requests\nnot retried: 404, 4 requests\n',
  );
});

test('12-tracing: spans of OpenTelemetry nest as the calls do, hidden ones too', async () => {
  expect(await example('12-tracing/main.ts')).toBe(`2 plum left
no pear left
Orders.submit
  Stock.take
    Stock.#look
  Mailer.send
Orders.submit [RangeError: no pear left]
  Stock.take [RangeError: no pear left]
    Stock.#look
`);
});

test('13-transactions: a transfer that fails leaves nothing behind', async () => {
  const home = mkdtempSync(join(tmpdir(), 'spark-proxy-example-'));
  try {
    const stdout = await example('13-transactions/main.ts', { SPARK_PROXY_DATASET_STORE: `sqlite:${join(home, 'datasets.db')}` });
    expect(stdout).toBe('ada 6, bob 4\nada has not that much\nada 6, bob 4\n');
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

test('14-offload: the heavy method of a web server runs on workers, and the server goes on answering', async () => {
  expect(await example('14-offload/server.ts')).toBe('6 requests, 33860 primes each, on 2 workers; meanwhile many other requests answered\n');
});
