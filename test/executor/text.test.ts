import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { LineReader, type FileSplit } from '../../src/executor/text.ts';

const directory = mkdtempSync(join(tmpdir(), 'lines-'));
afterAll(() => rmSync(directory, { recursive: true }));
const path = join(directory, 'text');

function read(splits: readonly FileSplit[]): string[] {
  const reader = new LineReader(splits);
  const lines: string[] = [];
  for (let part = reader.next(); part !== undefined; part = reader.next()) lines.push(...part);
  return lines;
}

function expected(text: string): string[] {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

test('however a file is cut, each line is read once and whole', () => {
  const text = fc.array(fc.constantFrom('a', 'ü', '😀', '\n', '\r\n', 'some words '), { maxLength: 30 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }), (content, cuts) => {
      writeFileSync(path, content);
      const size = Buffer.byteLength(content);
      const ends = [0, ...cuts.map((c) => Math.floor(c * size)).sort((a, b) => a - b), size];
      const lines = ends.slice(1).flatMap((end, i) => (end > (ends[i] as number) ? read([{ path, start: ends[i] as number, end }]) : []));
      expect(lines).toEqual(expected(content));
    }),
    { numRuns: 500 },
  );
});

test('lines longer than a chunk, and a last line without newline', () => {
  const content = `${'x'.repeat(3_000_000)}\nshort\n${'y'.repeat(1_500_000)}`;
  writeFileSync(path, content);
  const middle = 1_700_000;
  const whole = [...read([{ path, start: 0, end: middle }]), ...read([{ path, start: middle, end: content.length }])];
  expect(whole).toEqual(expected(content));
});

test('a BOM is dropped at the start of a file only', () => {
  writeFileSync(path, '\ufeffa\n\ufeffb\n');
  expect(read([{ path, start: 0, end: 100 }])).toEqual(['a', '\ufeffb']);
});

test('several splits are read in order; an empty file has no lines', () => {
  const empty = join(directory, 'empty');
  writeFileSync(empty, '');
  writeFileSync(path, 'one\ntwo');
  expect(
    read([
      { path: empty, start: 0, end: 0 },
      { path, start: 0, end: 7 },
    ]),
  ).toEqual(['one', 'two']);
});
