import { parseName, type HandleRef } from './access.ts';
import type {
  DatasetContext,
  DatasetKind,
  EventStream,
  FileSet,
  KeyValue,
  KeyValueTable,
  PartitionedFileSet,
  Row,
  Table,
  TimePartitionedFileSet,
} from './contract.ts';
import { FileSetHandle, PartitionedHandle, TimePartitionedHandle } from './kinds/files.ts';
import { StreamHandle } from './kinds/stream.ts';
import { KeyValueHandle, TableHandle } from './kinds/tables.ts';

function refOf({ namespace, driver }: TravellingContext, given: string, kind: DatasetKind): HandleRef {
  return { driver, kind, ...parseName(given, namespace) };
}

/** Plain data with methods, so that it travels in closures: whether it is on the driver or in a task is found out at each use. */
export class TravellingContext implements DatasetContext {
  readonly namespace: string;
  readonly driver: string;

  constructor(namespace: string, driver: string) {
    this.namespace = namespace;
    this.driver = driver;
  }

  keyValue<K extends KeyValue = string, V = unknown>(name: string): KeyValueTable<K, V> {
    return new KeyValueHandle<K, V>(refOf(this, name, 'keyValue'));
  }

  table<K extends KeyValue = string, R extends Row = Row>(name: string): Table<K, R> {
    return new TableHandle<K, R>(refOf(this, name, 'table'));
  }

  fileSet(name: string): FileSet {
    return new FileSetHandle(refOf(this, name, 'fileSet'));
  }

  partitionedFileSet(name: string): PartitionedFileSet {
    return new PartitionedHandle(refOf(this, name, 'partitionedFileSet'));
  }

  timePartitionedFileSet(name: string): TimePartitionedFileSet {
    return new TimePartitionedHandle(refOf(this, name, 'timePartitionedFileSet'));
  }

  stream<T = unknown>(name: string): EventStream<T> {
    return new StreamHandle<T>(refOf(this, name, 'stream'));
  }
}
