import { ClosureErrors } from './errors.ts';

/** Readers of wire parts: each gives the part as what it must be, or throws SP_CLOSURE_FORMAT. */

export function malformed(what: string): Error {
  return ClosureErrors.FORMAT({ reason: `${what} is malformed` });
}

export function text(value: unknown): string {
  if (typeof value !== 'string') throw malformed('a text');
  return value;
}

export function index(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed('a number');
  return value;
}

export function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed('a list');
  return value;
}

export function strings(value: unknown): readonly string[] {
  return list(value).map(text);
}

export function bytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw malformed('a byte string');
  return value;
}

export function callable(value: unknown): (...args: never[]) => unknown {
  if (typeof value !== 'function') throw malformed('a function');
  return value as (...args: never[]) => unknown;
}

export function symbol(value: unknown): symbol {
  if (typeof value !== 'symbol') throw malformed('a symbol');
  return value;
}

export function bigintOf(digits: string): bigint {
  if (!/^-?[0-9a-f]+$/.test(digits)) throw malformed('a bigint');
  return digits.startsWith('-') ? -BigInt(`0x${digits.slice(1)}`) : BigInt(`0x${digits}`);
}

export function utf16(wire: Uint8Array): string {
  let made = '';
  for (let at = 0; at + 1 < wire.length; at += 2) made += String.fromCharCode((wire[at] as number) | ((wire[at + 1] as number) << 8));
  return made;
}
