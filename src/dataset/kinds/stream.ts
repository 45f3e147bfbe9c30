/** Event streams: rows keyed by time, and by writer within one millisecond. */
import { newId } from '../../core/ids.ts';
import { systemClock } from '../../core/clock.ts';
import { packData } from '../../protocol/columns.ts';
import { accessOf, datasetOf, type HandleRef } from '../access.ts';
import type { Cell, DatasetInfo, EventStream, KeyValue, RowRange, StreamEvent } from '../contract.ts';
import { decodeKey, encodeKey } from '../keys.ts';
import { checkSchema } from '../schema.ts';
import { valueOf } from './records.ts';

const WRITER = newId('w');
let sequence = 0;

export function eventCell(dataset: DatasetInfo, body: unknown, time: Date | number = systemClock.wallTime()): Cell {
  checkSchema(dataset, dataset.schema, body, 'event');
  const row = encodeKey([Number(time), String(++sequence).padStart(15, '0'), WRITER]);
  return { row, column: '', value: packData(body) };
}

export function timeRange(from: Date | number, to: Date | number): RowRange {
  return { start: encodeKey([Number(from)]), end: encodeKey([Number(to)]) };
}

export function eventOf(cell: Cell): StreamEvent {
  const [time] = decodeKey(cell.row) as readonly KeyValue[];
  return { time: time as number, body: valueOf(cell) };
}

export class StreamHandle<T> implements EventStream<T> {
  readonly ref: HandleRef;

  constructor(ref: HandleRef) {
    this.ref = ref;
  }

  async append(body: T, time?: Date | number): Promise<void> {
    const dataset = await datasetOf(this.ref);
    const cell = eventCell(dataset, body, time);
    await accessOf(this.ref).run((tx) => tx.put(dataset, [cell]));
  }

  async *read(from: Date | number, to: Date | number): AsyncGenerator<StreamEvent<T>> {
    const dataset = await datasetOf(this.ref);
    for await (const batch of accessOf(this.ref).reading((tx) => tx.scan(dataset, timeRange(from, to)))) {
      for (const cell of batch) yield eventOf(cell) as StreamEvent<T>;
    }
  }
}
