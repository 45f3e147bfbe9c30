/** Key/value tables, and tables of rows and columns. */
import { accessOf, datasetOf, type HandleRef } from '../access.ts';
import type { Cell, KeyValue, KeyValueTable, Row, ScanOptions, Table } from '../contract.ts';
import { decodeKey, encodeKey } from '../keys.ts';
import { keyOf, pairsOf, requireNumber, rowCells, rowOf, rowsOf, valueCell, valueOf } from './records.ts';

export function rangeOf(options: ScanOptions<KeyValue>): { start?: Uint8Array; end?: Uint8Array } {
  const { from, to } = options;
  return { ...(from === undefined ? {} : { start: encodeKey(from) }), ...(to === undefined ? {} : { end: encodeKey(to) }) };
}

export class KeyValueHandle<K extends KeyValue, V> implements KeyValueTable<K, V> {
  readonly ref: HandleRef;

  constructor(ref: HandleRef) {
    this.ref = ref;
  }

  async get(key: K): Promise<V | undefined> {
    const dataset = await datasetOf(this.ref);
    const row = keyOf(dataset, key);
    return accessOf(this.ref).run(async (tx) => {
      const [cell] = await tx.get(dataset, row);
      return cell === undefined ? undefined : (valueOf(cell) as V);
    });
  }

  async put(key: K, value: V): Promise<void> {
    const dataset = await datasetOf(this.ref);
    const cell = valueCell(dataset, key, value === undefined ? null : value);
    await accessOf(this.ref).run((tx) => tx.put(dataset, [cell]));
  }

  async delete(key: K): Promise<void> {
    const dataset = await datasetOf(this.ref);
    const cell = valueCell(dataset, key, undefined);
    await accessOf(this.ref).run((tx) => tx.put(dataset, [cell]));
  }

  async increment(key: K, by = 1): Promise<number> {
    const dataset = await datasetOf(this.ref);
    const row = keyOf(dataset, key);
    return accessOf(this.ref).run(async (tx) => {
      const [cell] = await tx.get(dataset, row);
      const sum = requireNumber(dataset, cell && valueOf(cell)) + by;
      await tx.put(dataset, [valueCell(dataset, key, sum)]);
      return sum;
    });
  }

  async *scan(options: ScanOptions<K> = {}): AsyncGenerator<[K, V]> {
    const dataset = await datasetOf(this.ref);
    yield* accessOf(this.ref).reading((tx) => pairsOf(tx.scan(dataset, rangeOf(options)))) as AsyncIterable<[K, V]>;
  }
}

export class TableHandle<K extends KeyValue, R extends Row> implements Table<K, R> {
  readonly ref: HandleRef;

  constructor(ref: HandleRef) {
    this.ref = ref;
  }

  get(row: K): Promise<R | undefined>;
  get<C extends keyof R & string>(row: K, column: C): Promise<R[C] | undefined>;
  async get(key: K, column?: string): Promise<unknown> {
    const dataset = await datasetOf(this.ref);
    const row = keyOf(dataset, key);
    return accessOf(this.ref).run(async (tx) => {
      const cells = await tx.get(dataset, row);
      if (column === undefined) return cells.length === 0 ? undefined : rowOf(cells);
      const cell = cells.find((one) => one.column === column);
      return cell === undefined ? undefined : valueOf(cell);
    });
  }

  async put(key: K, columns: Partial<R>): Promise<void> {
    const dataset = await datasetOf(this.ref);
    const cells = rowCells(dataset, key, columns);
    if (cells.length > 0) await accessOf(this.ref).run((tx) => tx.put(dataset, cells));
  }

  async delete(key: K, columns?: readonly string[]): Promise<void> {
    const dataset = await datasetOf(this.ref);
    const row = keyOf(dataset, key);
    await accessOf(this.ref).run(async (tx) => {
      const names = columns ?? (await tx.get(dataset, row)).map(({ column }) => column);
      const gone = names.map((column): Cell => ({ row, column, value: null }));
      if (gone.length > 0) await tx.put(dataset, gone);
    });
  }

  async increment(key: K, column: keyof R & string, by = 1): Promise<number> {
    const dataset = await datasetOf(this.ref);
    const row = keyOf(dataset, key);
    return accessOf(this.ref).run(async (tx) => {
      const cell = (await tx.get(dataset, row)).find((one) => one.column === column);
      const sum = requireNumber(dataset, cell && valueOf(cell)) + by;
      await tx.put(dataset, rowCells(dataset, key, { [column]: sum }));
      return sum;
    });
  }

  async *scan(options: ScanOptions<K> = {}): AsyncGenerator<[K, R]> {
    const dataset = await datasetOf(this.ref);
    const found = accessOf(this.ref).reading((tx) => rowsOf(tx.scan(dataset, rangeOf(options))));
    for await (const [key, cells] of found) yield [decodeKey(key), rowOf(cells)] as [K, R];
  }
}
