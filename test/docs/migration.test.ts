import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const text = readFileSync(new URL('../../docs/migration-aspects.md', import.meta.url), 'utf8');

test('every row of the tables for people from elsewhere has a line of output, and every such line a row', () => {
  const rows = [...text.matchAll(/^\| ([A-Z]\d+) /gm)].map(([, id]) => id);
  expect(rows.length).toBeGreaterThanOrEqual(40);
  expect(new Set(rows).size).toBe(rows.length);
  const printed = [...text.matchAll(/```text\n(.*?)```/gs)].flatMap(([, block]) => [...(block as string).matchAll(/\b[AKJM]\d+\b/g)].map(([id]) => id));
  expect(rows.filter((row) => !printed.includes(row as string))).toEqual([]);
  expect([...new Set(printed)].filter((id) => !rows.includes(id))).toEqual([]);
});
