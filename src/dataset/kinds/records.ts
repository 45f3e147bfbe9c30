/** Records as cells and back, for handles and for RDDs alike; schemas are checked here. */
import { packData, unpackValue } from '../../protocol/columns.ts';
import type { Cell, DatasetInfo, KeyBytes, KeyValue, Row } from '../contract.ts';
import { DATASET_ERRORS } from '../errors.ts';
import { decodeKey, encodeKey } from '../keys.ts';
import { checkColumns, checkSchema } from '../schema.ts';
import { compareKeys } from '../versions.ts';

export function keyOf(dataset: DatasetInfo, key: KeyValue): KeyBytes {
  checkSchema(dataset, dataset.keySchema, key, 'key');
  return encodeKey(key);
}

/** An undefined value is a delete. */
export function valueCell(dataset: DatasetInfo, key: KeyValue, value: unknown): Cell {
  const row = keyOf(dataset, key);
  if (value === undefined) return { row, column: '', value: null };
  checkSchema(dataset, dataset.schema, value, 'value');
  return { row, column: '', value: packData(value) };
}

/** Columns given as null or undefined are removed. */
export function rowCells(dataset: DatasetInfo, key: KeyValue, columns: Row): Cell[] {
  const row = keyOf(dataset, key);
  checkColumns(dataset, columns);
  return Object.entries(columns).map(([column, value]) => {
    if (column === '') throw DATASET_ERRORS.BAD_RECORD({ name: dataset.name, reason: 'a column without a name' });
    return { row, column, value: value === null || value === undefined ? null : packData(value) };
  });
}

export function valueOf(cell: Cell): unknown {
  return unpackValue(cell.value as Uint8Array);
}

export function rowOf(cells: readonly Cell[]): Row {
  return Object.fromEntries(cells.map((cell) => [cell.column, valueOf(cell)]));
}

export async function* pairsOf(batches: AsyncIterable<readonly Cell[]>): AsyncGenerator<[KeyValue, unknown]> {
  for await (const batch of batches) for (const cell of batch) yield [decodeKey(cell.row), valueOf(cell)];
}

/** Cells of one row follow each other. */
export async function* rowsOf(batches: AsyncIterable<readonly Cell[]>): AsyncGenerator<[key: KeyBytes, cells: Cell[]]> {
  let row: Cell[] = [];
  for await (const batch of batches) {
    for (const cell of batch) {
      const [first] = row;
      if (first !== undefined && compareKeys(first.row, cell.row) !== 0) {
        yield [first.row, row];
        row = [];
      }
      row.push(cell);
    }
  }
  if (row[0] !== undefined) yield [row[0].row, row];
}

export function requireNumber(dataset: DatasetInfo, value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value !== 'number') throw DATASET_ERRORS.BAD_RECORD({ name: dataset.name, reason: `increment of a value that is no number (${typeof value})` });
  return value;
}
