import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { globSync } from 'tinyglobby';
import { beforeAll, describe, expect, test } from 'vitest';
import { CONFIG_KEYS } from '../../src/core/config-schema.ts';
import { configurationPage } from '../../tools/configuration-doc.ts';
import { declaredTables, placeholders, usesOf, type DeclaredTable } from '../../tools/error-tables.ts';
import { errorsPage } from '../../tools/errors-doc.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(`${ROOT}/${path}`, 'utf8');
const sources = new Map(globSync('src/**/*.ts', { cwd: ROOT }).map((file) => [file, read(file)]));

test.each([errorsPage, configurationPage])('$path says what the source says (npm run docs)', async (page) => {
  expect(read(page.path)).toBe(await page.make());
});

describe('the error tables', () => {
  let tables: readonly DeclaredTable[];
  beforeAll(async () => {
    tables = await declaredTables();
  });

  test('are found wherever defineErrors is called', () => {
    const calls = [...sources].filter(([file, text]) => file !== 'src/core/errors.ts' && text.includes('defineErrors(')).map(([file]) => file);
    expect(tables.map(({ file }) => file)).toEqual(calls.sort());
    for (const { file, rows } of tables) expect(rows.size, file).toBeGreaterThan(0);
  });

  test('give no code twice', () => {
    const codes = tables.flatMap(({ rows }) => [...rows.values()].map(({ code }) => code));
    expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
  });

  test('have no row without a message and a remedy', () => {
    const rows = tables.flatMap((table) => [...table.rows.values()]);
    expect(rows.filter(({ message, remedy }) => message.trim() === '' || remedy.trim() === '')).toEqual([]);
  });

  test('have no row that nothing uses', () => {
    const used = new Set(usesOf(tables).map(({ row }) => row.code));
    const unused = tables.flatMap(({ rows }) => [...rows.values()].map(({ code }) => code).filter((code) => !used.has(code)));
    // A code may also be given as such, where an error comes from a peer.
    expect(unused.filter((code) => ![...sources.values()].some((text) => text.includes(`'${code}'`)))).toEqual([]);
  });

  test('are given every field that their templates name', () => {
    const missing = usesOf(tables).flatMap(({ file, line, row, fields }) =>
      fields === undefined ? [] : placeholders(row).flatMap((name) => (fields.includes(name) ? [] : [`${file}:${line}: ${row.code} is not given {${name}}`])),
    );
    expect(missing).toEqual([]);
  });
});

test('every configuration key is read somewhere', () => {
  const others = [...sources].filter(([file]) => file !== 'src/core/config-schema.ts').map(([, text]) => text);
  expect(Object.keys(CONFIG_KEYS).filter((key) => !others.some((text) => text.includes(`'${key}'`)))).toEqual([]);
});
