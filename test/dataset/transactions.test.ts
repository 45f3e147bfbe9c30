/** Explicit transactions and direct access on the driver. */
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { all, codeOf, describeEachStore } from './stores.ts';

describeEachStore('transactions of a driver', (bed) => {
  const open = async () => {
    const url = await bed.url();
    const datasets = await bed.datasets(url);
    const outside = await bed.datasets(url);
    await datasets.admin.create('kv', 'keyValue');
    await datasets.admin.create('t', 'table');
    const kv = datasets.context.keyValue<string, number>('kv');
    const seen = outside.context.keyValue<string, number>('kv');
    return { url, datasets, outside, kv, seen };
  };

  test('what execute writes is seen by others when it has resolved, and not before', async () => {
    const { datasets, kv, seen } = await open();
    await datasets.execute(async (ds) => {
      await ds.keyValue('kv').put('a', 1);
      await ds.table('t').put('r', { x: 1 });
      expect(await seen.get('a')).toBeUndefined();
      expect(await kv.get('a')).toBe(1);
    });
    expect(await seen.get('a')).toBe(1);
  });

  test('when the body rejects nothing is seen, and the error is the body s own', async () => {
    const { datasets, seen } = await open();
    const failed = datasets.execute(async (ds) => {
      await ds.keyValue('kv').put('a', 1);
      throw new RangeError('no');
    });
    await expect(failed).rejects.toThrow(RangeError);
    expect(await seen.get('a')).toBeUndefined();
  });

  test('gives what the body gives', async () => {
    const { datasets } = await open();
    expect(await datasets.execute(() => 42)).toBe(42);
  });

  test('reads its own writes: puts, deletes, increments and scans', async () => {
    const { datasets, kv } = await open();
    await kv.put('old', 1);
    await kv.put('gone', 1);
    await datasets.execute(async () => {
      await kv.put('new', 2);
      await kv.delete('gone');
      expect(await kv.increment('old', 5)).toBe(6);
      expect(await kv.increment('count')).toBe(1);
      expect(await kv.get('gone')).toBeUndefined();
      expect(await all(kv.scan())).toEqual([
        ['count', 1],
        ['new', 2],
        ['old', 6],
      ]);
      await kv.put('new', 3);
      expect(await kv.get('new')).toBe(3);
      expect(await all(kv.scan({ from: 'd', to: 'o' }))).toEqual([['new', 3]]);
    });
    expect(await all(kv.scan())).toHaveLength(3);
  });

  test('sees one snapshot, whatever others commit meanwhile', async () => {
    const { datasets, outside, kv } = await open();
    await kv.put('a', 1);
    await datasets.execute(async (ds) => {
      expect(await kv.get('a')).toBe(1);
      await outside.context.keyValue('kv').put('a', 2);
      await outside.context.keyValue('kv').put('b', 2);
      expect(await kv.get('a')).toBe(1);
      expect(await all(ds.keyValue('kv').scan())).toEqual([['a', 1]]);
    });
    expect(await kv.get('a')).toBe(2);
  });

  test('a nested execute is refused, and does not end the outer one', async () => {
    const { datasets, kv } = await open();
    await datasets.execute(async () => {
      await kv.put('a', 1);
      expect(await codeOf(datasets.execute(() => 1))).toBe('SP_DATASET_NESTED');
    });
    expect(await kv.get('a')).toBe(1);
  });

  test('of two that write the same row the second to commit fails, and nothing of it is seen', async () => {
    const { datasets, outside, kv } = await open();
    const failed = codeOf(
      datasets.execute(async () => {
        await kv.put('a', 1);
        await kv.put('mine', 1);
        await outside.context.keyValue('kv').put('a', 2);
      }),
    );
    expect(await failed).toBe('SP_DATASET_CONFLICT');
    expect(await all(kv.scan())).toEqual([['a', 2]]);
  });

  test('two that only read what the other writes both commit', async () => {
    const { datasets, outside, kv } = await open();
    await datasets.execute(async () => {
      await kv.get('b');
      await kv.put('a', 1);
      await outside.execute(async (ds) => {
        await ds.keyValue('kv').get('a');
        await ds.keyValue('kv').put('b', 1);
      });
    });
    expect(await all(kv.scan())).toHaveLength(2);
  });

  test('levels: COLUMN lets two write other columns of a row, NONE lets the last one win', async () => {
    const { datasets, outside } = await open();
    await datasets.admin.create('columns', 'table', { conflicts: 'COLUMN' });
    await datasets.admin.create('none', 'keyValue', { conflicts: 'NONE' });
    await datasets.execute(async (ds) => {
      await ds.table('columns').put('r', { x: 1 });
      await ds.keyValue('none').put('k', 'first to begin');
      await outside.execute(async (other) => {
        await other.table('columns').put('r', { y: 2 });
        await other.keyValue('none').put('k', 'first to commit');
      });
    });
    expect(await datasets.context.table('columns').get('r')).toEqual({ x: 1, y: 2 });
    expect(await datasets.context.keyValue('none').get('k')).toBe('first to begin');
    const failed = datasets.execute(async (ds) => {
      await ds.table('columns').put('r', { x: 3 });
      await outside.context.table('columns').put('r', { x: 4 });
    });
    expect(await codeOf(failed)).toBe('SP_DATASET_CONFLICT');
  });

  test('retries run the body again with a new snapshot: contended increments are exact', async () => {
    const { datasets, outside, kv } = await open();
    const add = (d: typeof datasets): Promise<number> => d.execute((ds) => ds.keyValue<string, number>('kv').increment('n'), { retries: 200, backoffMs: 2 });
    await Promise.all(Array.from({ length: 30 }, (_, i) => add(i % 2 === 0 ? datasets : outside)));
    expect(await kv.get('n')).toBe(30);
  });

  test('without retries a conflict is told, with them other errors still are', async () => {
    const { datasets } = await open();
    let runs = 0;
    const failed = datasets.execute(
      () => {
        runs += 1;
        throw new RangeError('mine');
      },
      { retries: 5 },
    );
    await expect(failed).rejects.toThrow('mine');
    expect(runs).toBe(1);
  });

  test('a time-out rejects at once, aborts, and what the body does afterwards is refused', async () => {
    const { datasets, kv, seen } = await open();
    let late: Promise<string> | undefined;
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const timed = datasets.execute(
      async () => {
        await kv.put('a', 1);
        late = released.then(() => codeOf(kv.put('b', 1)));
        await late;
      },
      { timeoutMs: 100 },
    );
    expect(await codeOf(timed)).toBe('SP_DATASET_TRANSACTION_TIMEOUT');
    release();
    expect(await late).toBe('SP_DATASET_TRANSACTION_TIMEOUT');
    expect(await seen.get('a')).toBeUndefined();
  });

  test('what is left running when the body has returned is refused', async () => {
    const { datasets, kv } = await open();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let stray: Promise<string> | undefined;
    await datasets.execute(() => {
      stray = released.then(() => codeOf(kv.put('b', 1)));
    });
    release();
    expect(await stray).toBe('SP_DATASET_TRANSACTION_ENDED');
  });

  test('outside of execute each call is a transaction of its own', async () => {
    const { kv, seen } = await open();
    await kv.put('a', 1);
    expect(await seen.get('a')).toBe(1);
    expect(await kv.increment('a')).toBe(2);
    await kv.delete('a');
    expect(await seen.get('a')).toBeUndefined();
  });

  test('flows of their own do not mix: two executes at the same time see each other s writes only after commit', async () => {
    const { datasets, kv } = await open();
    const gate = Promise.withResolvers<void>();
    const one = datasets.execute(async () => {
      await kv.put('one', 1);
      await gate.promise;
      expect(await kv.get('two')).toBeUndefined();
    });
    const two = datasets.execute(async () => {
      await kv.put('two', 2);
      expect(await kv.get('one')).toBeUndefined();
    });
    await two;
    gate.resolve();
    await one;
    expect(await all(kv.scan())).toHaveLength(2);
  });

  test('a large transaction spills to the store and still is seen at once, or not at all', async () => {
    const { datasets, kv, seen } = await open();
    const write = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i++) await kv.put(String(i).padStart(6, '0'), i);
    };
    await expect(
      datasets.execute(async () => {
        await write(12_000);
        expect(await all(seen.scan())).toEqual([]);
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(await all(seen.scan())).toEqual([]);
    await datasets.execute(() => write(12_000));
    expect(await all(seen.scan())).toHaveLength(12_000);
  });

  test('a driver that a newer one of its name has fenced cannot commit', async () => {
    const { url } = await open();
    const first = await bed.datasets(url, { session: 'program.run' });
    const failed = codeOf(
      first.execute(async (ds) => {
        await ds.keyValue('kv').put('a', 'zombie');
        const second = await bed.datasets(url, { session: 'program.run' });
        await second.context.keyValue('kv').put('a', 'alive');
      }),
    );
    expect(await failed).toBe('SP_DATASET_FENCED');
    const reader = await bed.datasets(url);
    expect(await reader.context.keyValue('kv').get('a')).toBe('alive');
  });

  test('a driver that was silent for too long loses what it has open, and goes on', async () => {
    const { url, datasets, kv, seen } = await open();
    const lost = datasets.execute(async () => {
      await kv.put('a', 1);
      await bed.fence(url);
    });
    expect(await codeOf(lost)).toBe('SP_DATASET_FENCED');
    await expect.poll(() => codeOf(kv.put('b', 2)), { timeout: 20_000 }).toBe('no error');
    expect([await seen.get('a'), await seen.get('b')]).toEqual([undefined, 2]);
  });

  test('a driver with a name, which another may have taken, does not', async () => {
    const { url } = await open();
    const named = await bed.datasets(url, { session: 'program.run' });
    await bed.fence(url);
    for (let i = 0; i < 3; i++) expect(await codeOf(named.context.keyValue('kv').put('a', i))).toBe('SP_DATASET_FENCED');
  });

  test('drain waits for what is open and refuses what begins', async () => {
    const { datasets, kv } = await open();
    const gate = Promise.withResolvers<void>();
    const running = datasets.execute(async () => {
      await kv.put('a', 1);
      await gate.promise;
    });
    let drained = false;
    const draining = datasets.transactions.drain().then(() => (drained = true));
    expect(await codeOf(datasets.execute(() => 1))).toBe('SP_DATASET_DRAINING');
    await wait(20);
    expect(drained).toBe(false);
    gate.resolve();
    await running;
    await draining;
  });

  test('close aborts what is open', async () => {
    const { datasets, kv, seen } = await open();
    const gate = Promise.withResolvers<void>();
    const running = codeOf(
      datasets.execute(async () => {
        await kv.put('a', 1);
        await gate.promise;
      }),
    );
    await datasets.close();
    gate.resolve();
    expect(await running).toBe('SP_DATASET_DRAINING');
    expect(await seen.get('a')).toBeUndefined();
  });

  describe('kinds', () => {
    test('keys of all types keep their order, and come back as they were', async () => {
      const { datasets } = await open();
      await datasets.admin.create('keys', 'keyValue');
      const keys = [
        '',
        'a',
        'a\u0000',
        'b',
        -Infinity,
        -1.5,
        0,
        2,
        10,
        -(2n ** 70n),
        -1n,
        0n,
        5n,
        2n ** 70n,
        false,
        true,
        new Date(0),
        new Date(1),
        new Uint8Array([0, 1]),
        ['a', 1],
        ['a', 2],
        [['x'], -1],
      ];
      const table = datasets.context.keyValue<never, number>('keys');
      const good = keys.filter((key) => key !== -Infinity);
      await datasets.execute(async () => {
        for (const [i, key] of [...good.entries()].reverse()) await table.put(key as never, i);
      });
      expect(await all(table.scan())).toEqual(good.map((key, i) => [key, i]));
      for (const bad of [-Infinity, NaN, null, {}, 'x'.repeat(2000), '\ud800', [null]])
        expect(await codeOf(table.put(bad as never, 1))).toBe('SP_DATASET_BAD_KEY');
    });

    test('a table keeps the columns that a put does not name, and deletes some or all', async () => {
      const { datasets } = await open();
      const t = datasets.context.table<string, { a?: number; b?: unknown; c?: string }>('t');
      await t.put('r', { a: 1, b: [1, { deep: new Date(5) }] });
      await t.put('r', { a: 2, c: 'x' });
      expect(await t.get('r')).toEqual({ a: 2, b: [1, { deep: new Date(5) }], c: 'x' });
      expect(await t.get('r', 'c')).toBe('x');
      await t.delete('r', ['b']);
      expect(await t.get('r')).toEqual({ a: 2, c: 'x' });
      expect(await t.increment('r', 'a', 3)).toBe(5);
      expect(await codeOf(t.increment('r', 'c'))).toBe('SP_DATASET_BAD_RECORD');
      await t.put('s', { a: 1 });
      expect(await all(t.scan({ from: 's' }))).toEqual([['s', { a: 1 }]]);
      await t.delete('r');
      expect(await t.get('r')).toBeUndefined();
    });

    test('a stream keeps events by time and gives those of a range', async () => {
      const { datasets } = await open();
      await datasets.admin.create('events', 'stream');
      const stream = datasets.context.stream<string>('events');
      await datasets.execute(async () => {
        await stream.append('c', 30);
        await stream.append('a', 10);
        await stream.append('b', 20);
        await stream.append('b2', 20);
      });
      expect((await all(stream.read(10, 30))).map(({ body }) => body)).toEqual(['a', 'b', 'b2']);
      expect(await all(stream.read(30, new Date(31)))).toEqual([{ time: 30, body: 'c' }]);
    });

    test('files are seen with their transaction, keep what a snapshot saw, and go when they are deleted', async () => {
      const { datasets, outside } = await open();
      await datasets.admin.create('files', 'fileSet');
      const files = datasets.context.fileSet('files');
      const theirs = outside.context.fileSet('files');
      await datasets.execute(async () => {
        await files.write('a/1.txt', 'one');
        await files.write('b.txt', 'two');
        expect(await theirs.list()).toEqual([]);
        expect(Buffer.from(await files.read('a/1.txt')).toString()).toBe('one');
      });
      expect((await theirs.list()).map(({ path, bytes }) => [path, bytes])).toEqual([
        ['a/1.txt', 3],
        ['b.txt', 3],
      ]);
      expect(await files.list('a/')).toHaveLength(1);
      await outside
        .execute(async () => {
          await theirs.list();
          await files.write('b.txt', 'changed');
        })
        .catch(() => undefined);
      await files.delete('a/1.txt');
      expect(await codeOf(files.read('a/1.txt'))).toBe('SP_DATASET_FILE_NOT_FOUND');
      for (const bad of ['../x', '/etc/passwd', 'a//b', '', 'a/./b']) expect(await codeOf(files.write(bad, ''))).toBe('SP_DATASET_BAD_PATH');
    });

    test('partitions are added once, found by their fields, and dropped', async () => {
      const { datasets, outside } = await open();
      await datasets.admin.create('parts', 'partitionedFileSet', { partitioning: ['country', 'year'] });
      const parts = datasets.context.partitionedFileSet('parts');
      await parts.addPartition({ country: 'fr', year: 2025 }, { 'x.json': '1' }, { source: 'test' });
      await parts.addPartition({ country: 'fr', year: 2026 }, { 'x.json': '2', 'y.json': '3' });
      await parts.addPartition({ country: 'it', year: 2026 }, {});
      expect(await parts.partitions({ year: 2026 })).toMatchObject([
        { key: { country: 'fr' }, files: [{ path: 'x.json' }, { path: 'y.json' }] },
        { key: { country: 'it' } },
      ]);
      expect((await parts.partitions())[0]?.metadata).toEqual({ source: 'test' });
      expect(await codeOf(parts.addPartition({ country: 'fr', year: 2025 }, {}))).toBe('SP_DATASET_PARTITION_EXISTS');
      expect(await codeOf(parts.addPartition({ country: 'fr' }, {}))).toBe('SP_DATASET_BAD_RECORD');
      const both = datasets.execute(async () => {
        await parts.addPartition({ country: 'de', year: 1 }, { a: '1' });
        await outside.context.partitionedFileSet('parts').addPartition({ country: 'de', year: 1 }, { a: '2' });
      });
      expect(await codeOf(both)).toBe('SP_DATASET_CONFLICT');
      await parts.dropPartition({ country: 'fr', year: 2025 });
      expect(await parts.partitions({ country: 'fr' })).toHaveLength(1);
    });

    test('partitions by time are found by a range of time', async () => {
      const { datasets } = await open();
      await datasets.admin.create('hours', 'timePartitionedFileSet');
      const hours = datasets.context.timePartitionedFileSet('hours');
      const hour = (h: number): number => Date.UTC(2026, 0, 1, h, 0, 30);
      for (const h of [3, 1, 2]) await hours.addPartition(hour(h), { f: String(h) });
      expect((await hours.partitions(hour(1) - 60_000, hour(3) - 60_000)).map(({ time }) => time.getUTCHours())).toEqual([1, 2]);
      await hours.dropPartition(hour(2));
      expect(await hours.partitions(0, hour(9))).toHaveLength(2);
    });

    test('schemas refuse what does not fit, name where, and are kept in the form of Spark SQL', async () => {
      const { datasets, outside } = await open();
      const schema = {
        type: 'struct',
        fields: [
          { name: 'n', type: 'long', nullable: false },
          { name: 'tags', type: { type: 'array', elementType: 'string', containsNull: false }, nullable: true },
        ],
      } as const;
      await datasets.admin.create('typed', 'keyValue', { schema, keySchema: 'string' });
      await datasets.admin.create('columns', 'table', { schema });
      expect((await outside.admin.get('typed'))?.schema).toEqual(schema);
      const typed = datasets.context.keyValue<never>('typed');
      await typed.put('a' as never, { n: 1, tags: ['x'] });
      await typed.put('b' as never, { n: 1 });
      await expect(typed.put('a' as never, { n: 1, tags: ['x', 2] })).rejects.toThrow('value.tags[1] of dataset typed must be string, not 2');
      for (const bad of [{ n: 1.5 }, { n: null }, {}, { n: 1, other: 1 }, 5, null])
        expect(await codeOf(typed.put('a' as never, bad))).toBe('SP_DATASET_SCHEMA');
      expect(await codeOf(typed.put(5 as never, { n: 1 }))).toBe('SP_DATASET_SCHEMA');
      const columns = datasets.context.table('columns');
      await columns.put('r', { tags: ['x'] });
      expect(await codeOf(columns.put('r', { x: 1 }))).toBe('SP_DATASET_SCHEMA');
      expect(
        await codeOf(datasets.admin.create('bad', 'table', { schema: { type: 'struct', fields: [{ name: 'a', type: 'nope' as never, nullable: true }] } })),
      ).toBe('SP_DATASET_BAD_DEFINITION');
    });

    test('names, namespaces and kinds are checked', async () => {
      const { datasets } = await open();
      expect(await codeOf(datasets.context.keyValue('none').get('a'))).toBe('SP_DATASET_NOT_FOUND');
      expect(await codeOf(datasets.context.table('kv').get('a'))).toBe('SP_DATASET_WRONG_KIND');
      expect(await codeOf(datasets.admin.create('kv', 'table', { ifNotExists: true }))).toBe('SP_DATASET_WRONG_KIND');
      expect((await datasets.admin.create('kv', 'keyValue', { ifNotExists: true })).name).toBe('kv');
      for (const bad of ['', 'a b', '../x', 'a:b:c', 'x'.repeat(200), 'a;drop'])
        expect(await codeOf(async () => datasets.admin.create(bad, 'table'))).toBe('SP_DATASET_BAD_NAME');
      await datasets.admin.create('other:kv', 'keyValue');
      await datasets.context.keyValue('other:kv').put('a', 1);
      expect(await datasets.context.keyValue('kv').get('a')).toBeUndefined();
      expect((await datasets.admin.list()).map(({ name }) => name)).toEqual(['kv', 't']);
      await datasets.admin.drop('kv');
      expect(await codeOf(datasets.context.keyValue('kv').get('a'))).toBe('SP_DATASET_NOT_FOUND');
    });
  });
});
