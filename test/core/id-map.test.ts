import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdMap } from '../../src/core/id-map.ts';

const ids = fc.oneof(
  fc.nat(40),
  fc.maxSafeNat(),
  fc.nat(100).map((n) => n * 65_536),
  fc.nat(100).map((n) => n * 0x1_0000_0000),
);

type Act = ['set' | 'delete' | 'get' | 'clear', number];
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 10, arbitrary: fc.tuple(fc.constantFrom('set' as const, 'set' as const, 'delete' as const, 'get' as const), ids) },
  { weight: 1, arbitrary: fc.constant<Act>(['clear', 0]) },
);

test('does what a Map does, whatever comes and goes', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 400 }), (acts) => {
      const map = new Map<number, object>();
      const own = new IdMap<object>();
      for (const [what, id] of acts) {
        const value = { id };
        if (what === 'set') {
          map.set(id, value);
          own.set(id, value);
        } else if (what === 'delete') {
          expect(own.delete(id)).toBe(map.get(id));
          map.delete(id);
        } else if (what === 'clear') {
          map.clear();
          own.clear();
        }
        expect([own.get(id), own.has(id), own.size]).toEqual([map.get(id), map.has(id), map.size]);
      }
      const sorted = [...map].sort(([a], [b]) => a - b);
      expect(own.ids()).toEqual(sorted.map(([id]) => id));
      expect(own.values()).toEqual(sorted.map(([, value]) => value));
    }),
    { numRuns: 500 },
  );
});

test('grows and shrinks, and loses nothing on the way', () => {
  const own = new IdMap<number>();
  for (let id = 0; id < 100_000; id++) own.set(id, id);
  for (let id = 0; id < 100_000; id++) if (own.get(id) !== id) throw new Error(`${id} is lost`);
  for (let id = 0; id < 99_990; id++) if (own.delete(id) !== id) throw new Error(`${id} is lost`);
  expect(own.ids()).toEqual(Array.from({ length: 10 }, (_, i) => 99_990 + i));
});

/** What young collections leave when objects come and go in a map that has grown old: megabytes; `gc` is there. */
async function kept(kind: 'IdMap' | 'Map'): Promise<number> {
  const program = `
    import { IdMap } from ${JSON.stringify(new URL('../../src/core/id-map.ts', import.meta.url).href)};
    const map = new ${kind}();
    for (let id = 0; id < 128; id++) map.set(id, { text: [id] });
    for (let i = 0; i < 3; i++) gc({ type: 'minor' });
    const before = process.memoryUsage().heapUsed;
    for (let id = 128; id < 100_000; id++) {
      map.set(id, { text: [id] });
      map.delete(id - 128);
    }
    gc({ type: 'minor' });
    gc({ type: 'minor' });
    console.log((process.memoryUsage().heapUsed - before) / 2 ** 20);`;
  // A full collection would free what only dead tables hold.
  const flags = ['--expose-gc', '--min-semi-space-size=4', '--no-incremental-marking', '--initial-old-space-size=512', '--input-type=module', '-e', program];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd: fileURLToPath(new URL('.', import.meta.url)) });
  return Number(stdout);
}

test('what was deleted is collected young, also when the map is old; in a Map it is not', async () => {
  const [own, map] = [await kept('IdMap'), await kept('Map')];
  expect(own).toBeLessThan(1);
  // The reason why IdMap is there: should V8 mend it, a Map will do.
  expect(map).toBeGreaterThan(4);
});
