/** What every store promises: src/dataset/contract.ts. Two openings of one store stand for two processes. */
import { describe, expect, test } from 'vitest';
import type { Cell, ConflictLevel, DatasetInfo, DatasetStore, NewDataset, Snapshot, StoreSession } from '../../src/dataset/contract.ts';
import { withOwn } from '../../src/dataset/versions.ts';
import { all, codeOf, describeEachStore, type StoreBed } from './stores.ts';

const NEVER = 3_600_000;

function definition(name: string, conflicts: ConflictLevel = 'ROW'): NewDataset {
  return { namespace: 'test', name, kind: 'table', conflicts, schema: undefined, keySchema: undefined, properties: {} };
}

function cell(row: string, value: string | null, column = 'c'): Cell {
  return { row: Buffer.from(row), column, value: value === null ? null : Buffer.from(value) };
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

async function rows(store: DatasetStore, dataset: DatasetInfo, snapshot?: Snapshot): Promise<string[]> {
  const seen = snapshot ?? (await store.snapshot());
  return (await all(store.scan(dataset, {}, seen))).flat().map(({ row, column, value }) => `${text(row)}.${column}=${text(value as Uint8Array)}`);
}

async function bedOf(bed: StoreBed, conflicts: ConflictLevel = 'ROW') {
  const url = await bed.url();
  const [store, other] = [await bed.open(url), await bed.open(url)];
  const session = await store.openSession({ name: 'one', ttlMs: NEVER });
  const dataset = await store.create(definition('d', conflicts));
  /** One attempt's work: a version with these cells, not yet committed. */
  const attempt = async (cells: readonly Cell[], by: StoreSession = session): Promise<number> => {
    const [version] = (await by.allocate(1)) as [number];
    await other.write(dataset, version, cells);
    return version;
  };
  const commit = async (versions: readonly number[], snapshot: Snapshot, writes: readonly Cell[] = [], by: StoreSession = session): Promise<void> =>
    by.commit({ snapshot, versions, writes: writes.length === 0 ? [] : [{ dataset, cells: writes }], oldestNeeded: 0 });
  const put = async (...cells: Cell[]): Promise<void> => commit([], await store.snapshot(), cells);
  return { url, store, other, session, dataset, attempt, commit, put };
}

describeEachStore('a store', (bed) => {
  describe('registry', () => {
    test('keeps definitions, which other processes see', async () => {
      const { store, other, dataset } = await bedOf(bed);
      expect(await other.find('test', 'd')).toEqual(dataset);
      await store.create({ ...definition('e'), namespace: 'elsewhere', properties: { a: 'b' } });
      expect((await other.list()).map(({ name }) => name)).toEqual(['e', 'd']);
      expect((await other.list('test')).map(({ name }) => name)).toEqual(['d']);
    });

    test('refuses a second dataset of a name, and forgets a dropped one with its rows', async () => {
      const { store, other, dataset, put } = await bedOf(bed);
      expect(await codeOf(other.create(definition('d')))).toBe('SP_DATASET_EXISTS');
      await put(cell('a', '1'));
      await store.drop(dataset);
      expect(await other.find('test', 'd')).toBeUndefined();
      expect(await rows(store, await store.create(definition('d')))).toEqual([]);
      expect(await codeOf(store.drop(dataset))).toBe('SP_DATASET_NOT_FOUND');
    });

    test('is made once by processes that open it at the same time', async () => {
      const url = await bed.url();
      const stores = await Promise.all(Array.from({ length: 4 }, () => bed.open(url)));
      await (stores[0] as DatasetStore).create(definition('d'));
      for (const store of stores) expect(await store.list()).toHaveLength(1);
    });
  });

  describe('versions', () => {
    test('nothing of an attempt is seen before its commit, and all of it after', async () => {
      const { store, other, dataset, attempt, commit } = await bedOf(bed);
      const snapshot = await store.snapshot();
      const versions = [await attempt([cell('a', '1'), cell('b', '2')]), await attempt([cell('c', '3')])];
      expect(await rows(other, dataset)).toEqual([]);
      await commit(versions, snapshot, [cell('z', '9')]);
      expect(await rows(other, dataset)).toEqual(['a.c=1', 'b.c=2', 'c.c=3', 'z.c=9']);
    });

    test('only the versions that are named commit', async () => {
      const { store, session, dataset, attempt, commit } = await bedOf(bed);
      const snapshot = await store.snapshot();
      const [won, lost] = [await attempt([cell('a', 'won')]), await attempt([cell('a', 'lost'), cell('b', 'lost')])];
      await commit([won], snapshot);
      expect(await rows(store, dataset)).toEqual(['a.c=won']);
      await session.abort([lost]);
      expect(await rows(store, dataset)).toEqual(['a.c=won']);
      await store.maintain();
      expect(await rows(store, dataset)).toEqual(['a.c=won']);
    });

    test('a snapshot stays what it was while others commit, also those that were in progress when it was taken', async () => {
      const { store, dataset, attempt, commit, put } = await bedOf(bed);
      await put(cell('a', '1'));
      const begun = await attempt([cell('a', '2'), cell('b', '2')]);
      const old = await store.snapshot();
      await commit([begun], old);
      await put(cell('c', '3'));
      expect(await rows(store, dataset, old)).toEqual(['a.c=1']);
      expect(await rows(store, dataset)).toEqual(['a.c=2', 'b.c=2', 'c.c=3']);
      expect(await store.get(dataset, Buffer.from('b'), old)).toEqual([]);
    });

    test('a reader sees its own versions, the newest last written', async () => {
      const { store, dataset, attempt, put } = await bedOf(bed);
      await put(cell('a', '1'), cell('b', '1'));
      const snapshot = await store.snapshot();
      const first = await attempt([cell('a', '2'), cell('b', null)]);
      const second = await attempt([cell('a', '3')]);
      expect(await rows(store, dataset, withOwn(snapshot, [first]))).toEqual(['a.c=2']);
      expect(await rows(store, dataset, withOwn(snapshot, [first, second]))).toEqual(['a.c=3']);
      const [own] = await store.get(dataset, Buffer.from('a'), withOwn(snapshot, [first, second]));
      expect(Buffer.from(own?.value as Uint8Array).toString()).toBe('3');
    });

    test('a cell written again under its version keeps the last value, in one write and over several', async () => {
      const { store, other, dataset, attempt, commit } = await bedOf(bed);
      const snapshot = await store.snapshot();
      const version = await attempt([cell('a', '1'), cell('a', '2')]);
      await other.write(dataset, version, [cell('a', '3'), cell('b', '1')]);
      const many = Array.from({ length: 2000 }, (_, i) => cell(`k${i % 1000}`, String(i)));
      await other.write(dataset, version, many);
      await other.write(dataset, version, many.slice(0, 1000));
      await commit([version], snapshot);
      const seen = await rows(store, dataset);
      expect(seen).toHaveLength(1002);
      expect(seen.slice(0, 3)).toEqual(['a.c=3', 'b.c=1', 'k0.c=0']);
    });

    test('a tombstone hides what is older, for those who see it', async () => {
      const { store, dataset, put } = await bedOf(bed);
      await put(cell('a', '1', 'x'), cell('a', '1', 'y'));
      const before = await store.snapshot();
      await put(cell('a', null, 'x'));
      expect(await rows(store, dataset)).toEqual(['a.y=1']);
      expect(await rows(store, dataset, before)).toEqual(['a.x=1', 'a.y=1']);
      await put(cell('a', '2', 'x'));
      expect(await rows(store, dataset)).toEqual(['a.x=2', 'a.y=1']);
    });

    test('a commit names versions that are open, or nothing of it happens', async () => {
      const { store, session, dataset, attempt, commit } = await bedOf(bed);
      const snapshot = await store.snapshot();
      const [good, aborted] = [await attempt([cell('a', '1')]), await attempt([cell('b', '1')])];
      await session.abort([aborted]);
      expect(await codeOf(commit([good, aborted], snapshot, [cell('c', '1')]))).toBe('SP_DATASET_VERSION_CLOSED');
      expect(await rows(store, dataset)).toEqual([]);
      await commit([good], snapshot);
      expect(await codeOf(commit([good], snapshot))).toBe('SP_DATASET_VERSION_CLOSED');
    });

    test('nothing is written under a version that has ended', async () => {
      const { store, other, session, dataset, attempt, commit } = await bedOf(bed);
      const snapshot = await store.snapshot();
      const [committed, aborted] = [await attempt([cell('a', '1')]), await attempt([])];
      await commit([committed], snapshot);
      await session.abort([aborted]);
      for (const version of [committed, aborted, 999_999])
        expect(await codeOf(other.write(dataset, version, [cell('z', '1')]))).toBe('SP_DATASET_VERSION_CLOSED');
      await store.maintain();
      expect(await codeOf(other.write(dataset, aborted, [cell('z', '1')]))).toBe('SP_DATASET_VERSION_CLOSED');
      expect(await rows(store, dataset)).toEqual(['a.c=1']);
    });

    test('scans keep to their range and go on over pages', async () => {
      const { store, dataset, attempt, commit } = await bedOf(bed);
      const snapshot = await store.snapshot();
      const name = (i: number): string => String(i).padStart(6, '0');
      const version = await attempt(Array.from({ length: 20_000 }, (_, i) => cell(name(i), String(i))));
      await commit([version], snapshot);
      const now = await store.snapshot();
      const found = (await all(store.scan(dataset, { start: Buffer.from(name(5)), end: Buffer.from(name(19_000)) }, now))).flat();
      expect(found).toHaveLength(18_995);
      expect(found.map(({ row }) => Buffer.from(row).toString())).toEqual(Array.from({ length: 18_995 }, (_, i) => name(i + 5)));
      const cuts = (await store.split(dataset, 4)).map((row) => Number(Buffer.from(row).toString()));
      expect(cuts).toHaveLength(3);
      for (const [i, cut] of cuts.entries()) expect(Math.abs(cut - (i + 1) * 5000)).toBeLessThan(1500);
    });

    test('a dataset of small writes is split too, and an empty one is not', async () => {
      const { store, dataset, put } = await bedOf(bed);
      expect(await store.split(dataset, 4)).toEqual([]);
      for (const row of ['a', 'b', 'c', 'd']) await put(cell(row, '1'));
      expect((await store.split(dataset, 2)).map((row) => Buffer.from(row).toString())).toEqual(['c']);
      expect(await store.split(dataset, 100)).toHaveLength(3);
    });
  });

  describe('conflicts', () => {
    const many = (from: number, count: number, column = 'c'): Cell[] =>
      Array.from({ length: count }, (_, i) => cell(String(from + i).padStart(6, '0'), '1', column));
    type Case = readonly [title: string, level: ConflictLevel, mine: Cell[], theirs: Cell[], conflict: boolean];
    const cases: Case[] = [
      ['the same row', 'ROW', [cell('a', '1')], [cell('a', '2')], true],
      ['other columns of the same row', 'ROW', [cell('a', '1', 'x')], [cell('a', '2', 'y')], true],
      ['different rows', 'ROW', [cell('a', '1')], [cell('b', '2')], false],
      ['the same cell', 'COLUMN', [cell('a', '1', 'x')], [cell('a', '2', 'x')], true],
      ['other columns of the same row', 'COLUMN', [cell('a', '1', 'x')], [cell('a', '2', 'y')], false],
      ['the same cell', 'NONE', [cell('a', '1')], [cell('a', '2')], false],
      ['a delete of the same row', 'ROW', [cell('a', null)], [cell('a', '2')], true],
      ['many rows and one of them', 'ROW', many(0, 1000), [cell('000500', '2')], true],
      ['one row and many with it', 'ROW', [cell('000500', '2')], many(0, 1000), true],
      ['many rows and one among them that is not theirs', 'ROW', many(0, 1000), [cell('000500x', '2')], false],
      ['many rows that overlap', 'ROW', many(0, 1000), many(999, 1000), true],
      ['many rows side by side', 'ROW', many(0, 1000), many(1000, 1000), false],
      ['other columns of many rows', 'COLUMN', many(0, 1000, 'x'), many(0, 1000, 'y'), false],
    ];
    for (const [title, level, mine, theirs, conflict] of cases) {
      test(`${level}: ${title} ${conflict ? 'conflict' : 'do not conflict'}, buffered and written by tasks`, async () => {
        const { store, dataset, attempt, commit } = await bedOf(bed, level);
        for (const [firstByTask, secondByTask] of [
          [true, true],
          [true, false],
          [false, true],
          [false, false],
        ] as const) {
          const [one, two] = [await store.snapshot(), await store.snapshot()];
          const first = firstByTask ? [await attempt(theirs)] : [];
          const second = secondByTask ? [await attempt(mine)] : [];
          await commit(first, one, firstByTask ? [] : theirs);
          const code = await codeOf(commit(second, two, secondByTask ? [] : mine));
          expect([firstByTask, secondByTask, code]).toEqual([firstByTask, secondByTask, conflict ? 'SP_DATASET_CONFLICT' : 'no error']);
          if (conflict) expect(await rows(store, dataset)).toEqual(await rows(store, dataset, await store.snapshot()));
        }
      });
    }

    test('what committed before the snapshot is no conflict, what was in progress then is', async () => {
      const { store, attempt, commit, put } = await bedOf(bed);
      await put(cell('a', '1'));
      const begun = await attempt([cell('a', '2')]);
      const snapshot = await store.snapshot();
      await commit([], snapshot, [cell('b', '1')]);
      await commit([begun], await store.snapshot().then((s) => ({ ...s, excluded: [] })));
      expect(await codeOf(commit([], snapshot, [cell('a', '3')]))).toBe('SP_DATASET_CONFLICT');
    });

    test('a transaction that aborted is no conflict', async () => {
      const { store, session, attempt, commit } = await bedOf(bed);
      const snapshot = await store.snapshot();
      await session.abort([await attempt([cell('a', '1')])]);
      expect(await codeOf(commit([], snapshot, [cell('a', '2')]))).toBe('no error');
    });

    test('of two that commit at the same time one wins', async () => {
      const { url, store, dataset, commit } = await bedOf(bed);
      const second = await bed.open(url);
      const session = await second.openSession({ name: 'two', ttlMs: NEVER });
      for (let round = 0; round < 10; round++) {
        const snapshot = await store.snapshot();
        const codes = await Promise.all([
          codeOf(commit([], snapshot, [cell('a', `1.${round}`)])),
          codeOf(session.commit({ snapshot, versions: [], writes: [{ dataset, cells: [cell('a', `2.${round}`)] }], oldestNeeded: 0 })),
        ]);
        expect(codes.sort()).toEqual(['SP_DATASET_CONFLICT', 'no error']);
      }
    });
  });

  describe('sessions', () => {
    test('a second driver of a name fences the first: it allocates, commits and beats no more', async () => {
      const { url, store, session, dataset, attempt, commit } = await bedOf(bed);
      const snapshot = await store.snapshot();
      const version = await attempt([cell('a', '1')]);
      const other = await bed.open(url);
      const newer = await other.openSession({ name: 'one', ttlMs: NEVER });
      expect(newer.epoch).toBeGreaterThan(session.epoch);
      expect(await codeOf(session.allocate(1))).toBe('SP_DATASET_FENCED');
      expect(await codeOf(commit([version], snapshot))).toBe('SP_DATASET_FENCED');
      expect(await codeOf(commit([], snapshot, [cell('a', '2')]))).toBe('SP_DATASET_FENCED');
      expect(await codeOf(session.beat(1))).toBe('SP_DATASET_FENCED');
      expect(await codeOf(other.write(dataset, version, [cell('b', '1')]))).toBe('SP_DATASET_VERSION_CLOSED');
      expect(await rows(store, dataset)).toEqual([]);
      await newer.commit({ snapshot: await other.snapshot(), versions: [], writes: [{ dataset, cells: [cell('a', '3')] }], oldestNeeded: 0 });
      expect(await rows(store, dataset)).toEqual(['a.c=3']);
    });

    test('a driver whose beats stop is fenced by the reaper, and what it staged is removed', async () => {
      const { store, other, dataset, put } = await bedOf(bed);
      await put(cell('keep', '1'));
      const silent = await other.openSession({ name: 'silent', ttlMs: 1 });
      const [version] = (await silent.allocate(1)) as [number];
      await other.write(
        dataset,
        version,
        Array.from({ length: 3000 }, (_, i) => cell(`x${i}`, '1')),
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
      const report = await store.maintain();
      expect(report).toMatchObject({ fencedSessions: 1, purgedVersions: 1 });
      expect(report.prunedCells).toBeGreaterThanOrEqual(3000);
      expect(await codeOf(silent.commit({ snapshot: await other.snapshot(), versions: [version], writes: [], oldestNeeded: 0 }))).toBe('SP_DATASET_FENCED');
      expect(await codeOf(other.write(dataset, version, [cell('y', '1')]))).toBe('SP_DATASET_VERSION_CLOSED');
      expect(await store.unused(dataset, [version])).toEqual([version]);
      expect((await store.snapshot()).excluded).toEqual([]);
      expect(await rows(store, dataset)).toEqual(['keep.c=1']);
    });

    test('a session that closes aborts what it has open', async () => {
      const { store, other, dataset } = await bedOf(bed);
      const leaving = await other.openSession({ name: 'leaving', ttlMs: NEVER });
      const [version] = (await leaving.allocate(1)) as [number];
      await other.write(dataset, version, [cell('a', '1')]);
      await leaving.close();
      await store.maintain();
      expect(await store.unused(dataset, [version])).toEqual([version]);
      expect(await rows(store, dataset)).toEqual([]);
    });
  });

  describe('clean-up', () => {
    test('superseded versions and old tombstones go, once nobody can need them', async () => {
      const { store, session, dataset, put } = await bedOf(bed);
      await put(cell('a', '1'), cell('b', '1'));
      const old = await store.snapshot();
      await session.beat(old.readVersion + 1);
      await put(cell('a', '2'), cell('b', null));
      await put(cell('a', '3'));
      await store.maintain();
      expect(await rows(store, dataset, old)).toEqual(['a.c=1', 'b.c=1']);
      await session.beat(Number.MAX_SAFE_INTEGER);
      const report = await store.maintain();
      expect(report.prunedCells).toBeGreaterThanOrEqual(3);
      expect(await rows(store, dataset)).toEqual(['a.c=3']);
      expect((await store.maintain()).prunedCells).toBe(0);
    });

    test('a row that is written again and again keeps few versions, without maintenance', async () => {
      const { store, session, dataset } = await bedOf(bed);
      for (let i = 0; i < 50; i++) {
        const snapshot = await store.snapshot();
        await session.commit({ snapshot, versions: [], writes: [{ dataset, cells: [cell('a', String(i))] }], oldestNeeded: snapshot.readVersion + 1 });
      }
      const everything: Snapshot = { readVersion: 0, excluded: [], own: Array.from({ length: 100 }, (_, i) => i) };
      expect(await rows(store, dataset, everything)).toEqual(['a.c=49']);
      const versions = Array.from({ length: 60 }, (_, i) => i + 1);
      expect(60 - (await store.unused(dataset, versions)).length).toBeLessThanOrEqual(3);
    });

    test('large writes are pruned in steps', async () => {
      const { store, session, dataset, attempt, commit } = await bedOf(bed);
      const cells = (value: string): Cell[] => Array.from({ length: 5000 }, (_, i) => cell(String(i).padStart(5, '0'), value));
      await commit([await attempt(cells('1'))], await store.snapshot());
      const snapshot = await store.snapshot();
      await commit([await attempt(cells('2'))], snapshot);
      await session.beat(Number.MAX_SAFE_INTEGER);
      expect((await store.maintain()).prunedCells).toBe(5000);
      expect((await rows(store, dataset)).length).toBe(5000);
    });
  });
});
