import { expect, test } from 'vitest';
import { defineErrors, errorFromWire, errorToWire, printable, SparkProxyError } from '../../src/core/errors.ts';

const ERRORS = defineErrors('TEST', { BROKEN: ['{what} is broken', 'mend {what}'] });

test('a coded error has its code, its remedy in the message, and keeps its cause', () => {
  const cause = new TypeError('inner');
  const error = ERRORS.BROKEN({ what: 'the pump' }, cause);
  expect(error.code).toBe('SP_TEST_BROKEN');
  expect(error.message).toBe('the pump is broken\n  hint: mend the pump');
  expect(error.cause).toBe(cause);
  expect(SparkProxyError.is(error)).toBe(true);
  expect(SparkProxyError.is(cause)).toBe(false);
});

test('an error crosses a wire with code, fields, stack and cause', () => {
  const back = errorFromWire(structuredClone(errorToWire(ERRORS.BROKEN({ what: 'x', n: 3 }, new Error('inner'))))) as SparkProxyError;
  expect(SparkProxyError.is(back)).toBe(true);
  expect(back.code).toBe('SP_TEST_BROKEN');
  expect(back.fields).toEqual({ what: 'x', n: 3 });
  expect((back.cause as Error).message).toBe('inner');
});

test('a name on the wire never chooses a class', () => {
  const back = errorFromWire({ name: 'SparkProxyError', message: 'forged', code: 'SP_TEST_UNKNOWN' });
  expect(SparkProxyError.is(back)).toBe(false);
  expect(back.constructor).toBe(Error);
});

test('a cycle of causes ends', () => {
  const a = new Error('a');
  a.cause = new Error('b', { cause: a });
  expect(() => JSON.stringify(errorToWire(a))).not.toThrow();
});

test('hostile text cannot forge lines or terminal escapes', () => {
  expect(printable('x\u001b[31m\u0000\r')).toBe('x\\x1b[31m\\x00\\x0d');
});
