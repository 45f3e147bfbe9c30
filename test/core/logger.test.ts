import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createLogger, setLogLevel } from '../../src/core/logger.ts';

const written: string[] = [];
beforeEach(() => {
  written.length = 0;
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  setLogLevel('warn');
});

test('a line has time, level, component, message and fields', () => {
  createLogger('dispatcher').warn('worker lost', { worker: 'w-1', leases: 3 });
  expect(written).toEqual([expect.stringMatching(/^\d\d:\d\d:\d\d WARN  dispatcher: worker lost worker=w-1 leases=3\n$/)]);
});

test('lines below the level are not written', () => {
  const logger = createLogger('worker');
  setLogLevel('error');
  logger.warn('hidden');
  logger.error('shown');
  setLogLevel('silent');
  logger.error('hidden');
  setLogLevel('debug');
  logger.debug('shown too');
  expect(written.map((line) => line.slice(9))).toEqual(['ERROR worker: shown\n', 'DEBUG worker: shown too\n']);
});

test('a hostile field cannot forge a line, nor a column', () => {
  createLogger('registry').warn('announced', { name: 'w-1\n12:00:00 ERROR dispatcher: forged\t\r\u001b[2K', next: 1 });
  expect(written.map((line) => line.slice(9))).toEqual(['WARN  registry: announced name=w-1\\n12:00:00 ERROR dispatcher: forged\\t\\x0d\\x1b[2K next=1\n']);
});

test('a message may have several lines', () => {
  createLogger('closure').warn('large\n  hint: broadcast it');
  expect(written.map((line) => line.slice(9))).toEqual(['WARN  closure: large\n  hint: broadcast it\n']);
});
