/** Schemas in the form of Spark SQL: records are checked against them before they are stored. */
import { DATASET_ERRORS } from './errors.ts';
import type { ArrayType, DataType, DataTypeName, DatasetInfo, StructField, StructType } from './contract.ts';

type FieldSpec = DataType | { readonly type: DataType; readonly nullable: boolean };

const INT = 2 ** 31;

const CHECKS: Readonly<Record<DataTypeName, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  integer: (value) => Number.isInteger(value) && (value as number) >= -INT && (value as number) < INT,
  long: (value) => Number.isSafeInteger(value) || (typeof value === 'bigint' && BigInt.asIntN(64, value) === value),
  float: (value) => typeof value === 'number',
  double: (value) => typeof value === 'number',
  boolean: (value) => typeof value === 'boolean',
  binary: (value) => value instanceof Uint8Array,
  timestamp: (value) => value instanceof Date && !Number.isNaN(value.getTime()),
  date: (value) => value instanceof Date && !Number.isNaN(value.getTime()),
  any: () => true,
};

/**
 * A schema of named fields.
 * @example struct({ name: 'string', age: { type: 'integer', nullable: true } })
 */
export function struct(fields: Readonly<Record<string, FieldSpec>>): StructType {
  const made = Object.entries(fields).map(([name, spec]): StructField => {
    const given = typeof spec === 'object' && 'nullable' in spec;
    return { name, type: given ? spec.type : spec, nullable: given ? spec.nullable : false };
  });
  return { type: 'struct', fields: made };
}

export function arrayOf(elementType: DataType, containsNull = false): ArrayType {
  return { type: 'array', elementType, containsNull };
}

/** What is wrong with a schema that came from outside, or undefined. */
export function schemaFault(type: unknown, path = 'schema', depth = 0): string | undefined {
  if (typeof type === 'string') return Object.hasOwn(CHECKS, type) ? undefined : `${path}: ${type} is no type (${Object.keys(CHECKS).join(', ')})`;
  if (typeof type !== 'object' || type === null || depth > 16) return `${path} is no type`;
  const { type: kind, elementType, fields } = type as { type?: unknown; elementType?: unknown; fields?: unknown };
  if (kind === 'array') return schemaFault(elementType, `${path}[]`, depth + 1);
  if (kind !== 'struct' || !Array.isArray(fields)) return `${path} is no type`;
  const names = new Set<string>();
  for (const field of fields as Partial<StructField>[]) {
    if (typeof field?.name !== 'string' || field.name === '' || names.has(field.name)) return `${path}: field names must be different and not empty`;
    names.add(field.name);
    const fault = schemaFault(field.type, `${path}.${field.name}`, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function describe(type: DataType): string {
  return typeof type === 'string' ? type : type.type;
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value === 'object') return Object.prototype.toString.call(value).slice(8, -1);
  return typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' ? String(value) : `a ${typeof value}`;
}

/** @throws SP_DATASET_SCHEMA naming the path of the first value that does not fit */
export function checkSchema(dataset: DatasetInfo, type: DataType | undefined, value: unknown, path: string, nullable = false): void {
  if (type === undefined || (nullable && (value === null || value === undefined))) return;
  const fail = (at: string, expected: string, got: unknown): never => {
    throw DATASET_ERRORS.SCHEMA({ name: dataset.name, path: at, expected, got: shown(got) });
  };
  if (typeof type === 'string') {
    if (!CHECKS[type](value)) fail(path, type, value);
  } else if (type.type === 'array') {
    if (!Array.isArray(value)) fail(path, 'array', value);
    for (const [i, one] of (value as unknown[]).entries()) checkSchema(dataset, type.elementType, one, `${path}[${i}]`, type.containsNull);
  } else {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(path, describe(type), value);
    const record = value as Readonly<Record<string, unknown>>;
    for (const field of type.fields) checkSchema(dataset, field.type, record[field.name], `${path}.${field.name}`, field.nullable);
    for (const name of Object.keys(record)) {
      if (!type.fields.some((field) => field.name === name)) fail(`${path}.${name}`, 'absent (the schema has no such field)', record[name]);
    }
  }
}

/** Columns of a table: those given must fit; nullable ones may be removed with null. */
export function checkColumns(dataset: DatasetInfo, columns: Readonly<Record<string, unknown>>): void {
  const { schema } = dataset;
  if (schema === undefined || typeof schema === 'string' || schema.type !== 'struct') return;
  for (const [name, value] of Object.entries(columns)) {
    const field = schema.fields.find((one) => one.name === name);
    if (field === undefined)
      throw DATASET_ERRORS.SCHEMA({ name: dataset.name, path: name, expected: 'absent (the schema has no such column)', got: shown(value) });
    checkSchema(dataset, field.type, value, name, field.nullable);
  }
}
