/**
 * Coded errors. Every error a user can meet is declared once, in the `errors.ts` of the folder that throws it,
 * with a code, a message and a remedy; `docs/errors.md` is checked against these tables.
 */

const BRAND = Symbol.for('spark-proxy.error');
const TABLE = Symbol.for('spark-proxy.error-table');

/** What a table row says: message and remedy are templates over the fields given when the error is made. */
export interface ErrorRow {
  readonly code: string;
  /** Message template; `{name}` is replaced by the field of that name. */
  readonly message: string;
  /** What the reader should do about it; same templates. */
  readonly remedy: string;
}

export type ErrorFields = Readonly<Record<string, unknown>>;

/** The one error class. `code` is stable; `message` ends with the remedy; `cause` is kept. */
export class SparkProxyError extends Error {
  readonly code: string;
  readonly remedy: string;
  readonly fields: ErrorFields;

  constructor(code: string, message: string, remedy: string, fields: ErrorFields = {}, cause?: unknown) {
    super(remedy === '' ? message : `${message}\n  hint: ${remedy}`, cause === undefined ? undefined : { cause });
    this.name = 'SparkProxyError';
    this.code = code;
    this.remedy = remedy;
    this.fields = fields;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** True for errors of any copy of this package, in any realm. */
  static is(error: unknown): error is SparkProxyError {
    return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[BRAND] === true;
  }
}

type ErrorFactory = (fields?: ErrorFields, cause?: unknown) => SparkProxyError;

const globals = globalThis as Record<symbol, unknown>;
const table = (globals[TABLE] ??= new Map<string, ErrorRow>()) as Map<string, ErrorRow>;

/** Replaces control characters, so that a hostile name cannot forge log lines or terminal escapes (reliability B6). */
export function printable(value: unknown, limit = 500): string {
  const text = typeof value === 'string' ? value : String(value);
  // oxlint-disable-next-line no-control-regex
  const clean = text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return clean.length > limit ? `${clean.slice(0, limit)}...` : clean;
}

function fill(template: string, fields: ErrorFields): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => (name in fields ? printable(fields[name], 4000) : whole));
}

/**
 * Declares the errors of one folder: `{ NAME: [message, remedy] }` becomes `{ NAME(fields?, cause?) => SparkProxyError }`.
 * The code of a row is `SP_<prefix>_<NAME>`.
 */
export function defineErrors<K extends string>(prefix: string, rows: Record<K, readonly [message: string, remedy: string]>): Record<K, ErrorFactory> {
  const made = {} as Record<K, ErrorFactory>;
  for (const name of Object.keys(rows) as K[]) {
    const code = `SP_${prefix}_${name}`;
    const [message, remedy] = rows[name];
    table.set(code, { code, message, remedy });
    made[name] = (fields = {}, cause) => new SparkProxyError(code, fill(message, fields), fill(remedy, fields), fields, cause);
  }
  return made;
}

/** All declared rows, by code. */
export function errorTable(): readonly ErrorRow[] {
  return [...table.values()].sort((a, b) => (a.code < b.code ? -1 : 1));
}

/** An error as plain data, for threads and wires. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string | undefined;
  readonly code?: string | undefined;
  readonly remedy?: string | undefined;
  /** The fields of a coded error; plain data only. */
  readonly fields?: ErrorFields | undefined;
  readonly cause?: WireError | undefined;
}

const MAX_CAUSES = 8;

function plainFields(fields: ErrorFields): ErrorFields {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) plain[name] = typeof value === 'number' || typeof value === 'boolean' ? value : String(value);
  return plain;
}

/** Error (or any thrown value) to plain data; bounded depth, so that a cycle of causes ends. */
export function errorToWire(error: unknown, depth = 0): WireError {
  if (typeof error !== 'object' || error === null) return { name: 'Thrown', message: String(error) };
  const e = error as { name?: unknown; message?: unknown; stack?: unknown; code?: unknown; remedy?: unknown; cause?: unknown };
  return {
    name: typeof e.name === 'string' ? e.name : 'Error',
    message: typeof e.message === 'string' ? e.message : Object.prototype.toString.call(error),
    stack: typeof e.stack === 'string' ? e.stack : undefined,
    code: typeof e.code === 'string' ? e.code : undefined,
    remedy: typeof e.remedy === 'string' ? e.remedy : undefined,
    fields: SparkProxyError.is(error) ? plainFields(error.fields) : undefined,
    cause: e.cause === undefined || depth >= MAX_CAUSES ? undefined : errorToWire(e.cause, depth + 1),
  };
}

/**
 * Plain data back to an error. The name on the wire is kept as text only: a forged result can never choose the class
 * that is constructed (reliability B5). Codes of this package give SparkProxyError, all else a plain Error.
 */
export function errorFromWire(wire: WireError): Error {
  const cause = wire.cause === undefined ? undefined : errorFromWire(wire.cause);
  const known = wire.code !== undefined && table.has(wire.code);
  const error = known
    ? new SparkProxyError(wire.code as string, wire.message, '', wire.fields ?? {}, cause)
    : new Error(wire.message, cause === undefined ? undefined : { cause });
  // A code of this package is unknown where the module that declares it is not loaded, as in a dispatcher.
  if (!known && wire.code !== undefined) Object.assign(error, { code: wire.code, ...(wire.fields === undefined ? {} : { fields: wire.fields }) });
  if (!known) Object.defineProperty(error, 'name', { value: wire.name, configurable: true, writable: true });
  if (wire.stack !== undefined) Object.defineProperty(error, 'stack', { value: wire.stack, configurable: true, writable: true });
  return error;
}
