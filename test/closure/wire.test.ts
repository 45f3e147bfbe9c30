import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { deserializeGraph, serializeGraph, withEnvironment } from '../../src/closure/index.ts';
import { SparkProxyError } from '../../src/core/errors.ts';
import { Tag, packGraph } from '../../src/closure/wire.ts';

async function coded(bytes: Uint8Array): Promise<string | undefined> {
  try {
    await deserializeGraph(bytes);
    return undefined;
  } catch (error) {
    if (!SparkProxyError.is(error)) throw error;
    return error.code;
  }
}

const offset = 3;
const sample = new Map<unknown, unknown>([
  ['text', 'é'],
  [1, [1, -0, undefined, 10n, { deep: new Date(0) }]],
  ['f', (x: number) => x + offset],
  ['b', new Uint8Array([1, 2, 3])],
]);

describe('damaged bytes', () => {
  test('give coded errors only, whichever byte is changed', async () => {
    const { bytes } = serializeGraph(sample);
    const property = fc.asyncProperty(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }), async (changes) => {
      const damaged = bytes.slice();
      for (const [at, value] of changes) damaged[at] = value;
      await coded(damaged);
    });
    await fc.assert(property, { interruptAfterTimeLimit: 1000, numRuns: 20_000 });
  });

  test('give coded errors only, when they are random or cut short', async () => {
    const { bytes } = serializeGraph(sample);
    const tails = fc.oneof(
      fc.uint8Array({ maxLength: 64 }).map((tail) => Uint8Array.from([...bytes.slice(0, 4), ...tail])),
      fc.uint8Array({ maxLength: 40 }),
    );
    await fc.assert(
      fc.asyncProperty(tails, async (random) => {
        await coded(random);
      }),
      { interruptAfterTimeLimit: 500, numRuns: 20_000 },
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), async (end) => {
        expect(await coded(bytes.slice(0, end))).toBe('SP_CLOSURE_FORMAT');
      }),
      { interruptAfterTimeLimit: 500 },
    );
  });

  test('give coded errors only, when nodes are of wrong shapes', async () => {
    const part = fc.letrec<{ part: unknown }>((tie) => ({
      part: fc.oneof(
        { maxDepth: 3 },
        fc.integer({ min: -2, max: 30 }),
        fc.string({ maxLength: 4 }),
        fc.constant(null),
        fc.boolean(),
        fc.uint8Array({ maxLength: 4 }),
        fc.tuple(fc.constant(1), fc.nat(3)),
        fc.array(tie('part'), { maxLength: 5 }),
      ),
    })).part;
    const node = fc.tuple(fc.nat(24), fc.array(part, { maxLength: 8 })).map(([tag, rest]) => [tag, ...rest] as [number, ...unknown[]]);
    const property = fc.asyncProperty(fc.array(node, { minLength: 1, maxLength: 4 }), async (nodes) => {
      const safe = nodes.filter(([tag]) => tag !== Tag.import);
      await coded(packGraph({ modules: [''], templates: [], nodes: safe, root: [1, 0] }));
    });
    await fc.assert(property, { interruptAfterTimeLimit: 1000, numRuns: 20_000 });
  });
});

describe('limits', () => {
  test('a header that promises more than there is allocates nothing', async () => {
    const promise = (...tail: number[]): Uint8Array => Uint8Array.from([0x53, 0x50, 0x43, 2, ...tail]);
    expect(await coded(promise(0xdd, 0xff, 0xff, 0xff, 0xff))).toBe('SP_CLOSURE_FORMAT');
    expect(await coded(promise(0xc6, 0x7f, 0xff, 0xff, 0xff))).toBe('SP_CLOSURE_FORMAT');
    expect(await coded(promise(...new Array<number>(40).fill(0x91), 0xc0))).toBe('SP_CLOSURE_LIMIT');
    expect(await coded(promise(0xc7, 1, 0x72, 0))).toBe('SP_CLOSURE_FORMAT');
  });

  test('bytes and elements are limited', async () => {
    const { bytes } = serializeGraph([1, 2, 3]);
    await expect(deserializeGraph(bytes, {}, { limits: { maxBytes: 8, maxElements: 100 } })).rejects.toMatchObject({ code: 'SP_CLOSURE_LIMIT' });
    await expect(deserializeGraph(bytes, {}, { limits: { maxBytes: 1000, maxElements: 5 } })).rejects.toMatchObject({ code: 'SP_CLOSURE_LIMIT' });
  });

  test('another version is refused by name', async () => {
    const { bytes } = serializeGraph(1);
    bytes[3] = 9;
    await expect(deserializeGraph(bytes, {})).rejects.toThrow('their version is 9, ours is 2');
  });
});

test('any JSON-like value comes back equal', async () => {
  const value = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
    withTypedArray: true,
    withSparseArray: true,
    withObjectString: true,
  });
  await fc.assert(
    fc.asyncProperty(value, async (original) => {
      expect(await deserializeGraph(serializeGraph(original).bytes, {})).toStrictEqual(original);
    }),
    { numRuns: 300 },
  );
});

test('a reviver that is not known is named', async () => {
  const handle = { [Symbol.for('spark-proxy.serialize')]: () => ({ reviver: 'rdd', data: 1 }) };
  await expect(deserializeGraph(serializeGraph(handle).bytes, {})).rejects.toMatchObject({ code: 'SP_CLOSURE_REVIVER' });
  expect(await deserializeGraph(serializeGraph(handle).bytes, { rdd: (data) => `rdd ${String(data)}` })).toBe('rdd 1');
});

test('the data of a reviver is whole when the reviver is called', async () => {
  const inner = { list: [1, { deep: true }], fn: (x: number) => x + offset };
  const handle = { [Symbol.for('spark-proxy.serialize')]: () => ({ reviver: 'r', data: { inner } }) };
  const seen = await deserializeGraph(serializeGraph(handle).bytes, {
    r: (data) => JSON.stringify(data) + String((data as { inner: typeof inner }).inner.fn(1)),
  });
  expect(seen).toBe('{"inner":{"list":[1,{"deep":true}]}}4');
});

test('an explicit environment replaces what the function captured here', async () => {
  let factor = 2;
  const scale = withEnvironment((x: number) => x * factor, { factor: 10 });
  expect(scale(1)).toBe(2);
  factor = 3;
  const there = (await deserializeGraph(serializeGraph(scale).bytes, {})) as typeof scale;
  expect(there(1)).toBe(10);
});

test('a captured value over the size given is reported with its path', () => {
  const table = { rows: 'x'.repeat(5000) };
  const lookup = (): string => table.rows;
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  serializeGraph(lookup, { warnBytes: 1000 });
  serializeGraph(lookup, { warnBytes: 100_000 });
  expect(written).toHaveBeenCalledOnce();
  expect(String(written.mock.calls[0]?.[0])).toMatch(/function lookup -> table\n.*broadcast/);
  written.mockRestore();
});

test('a stack trace of a shipped function names its file, line and column', async () => {
  const fail = (): never => {
    throw new Error(`offset ${offset}`);
  };
  const local = place(fail);
  expect(local).toBeDefined();
  expect(place((await deserializeGraph(serializeGraph(fail).bytes, {})) as () => never)).toBe(local);
});

function place(fn: () => never): string | undefined {
  try {
    return fn();
  } catch (error) {
    return /at fail \((.*wire\.test\.ts.*:\d+:\d+)\)/.exec((error as Error).stack ?? '')?.[1];
  }
}

test('what is not initialised stays so', async () => {
  const early = (): number => late;
  const { bytes } = serializeGraph(early);
  const late = 1;
  expect(early()).toBe(late);
  const there = (await deserializeGraph(bytes, {})) as () => number;
  expect(there).toThrow(ReferenceError);
});
