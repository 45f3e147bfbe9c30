import fc from 'fast-check';
import MagicString from 'magic-string';
import { expect, test } from 'vitest';
import { Edits } from '../../src/loader/edits.ts';

const SOURCE = 'let answer = 42;';
const offset = fc.nat(SOURCE.length);
const text = fc.constantFrom('a', 'bc', '(', '\n', 'é');
const edit = fc.oneof(
  fc.tuple(fc.constantFrom('appendLeft', 'prependLeft', 'appendRight', 'prependRight'), offset, text),
  fc.tuple(fc.constantFrom('append', 'prepend'), text),
);

test('edits give what magic-string gives, in whatever order they are made', () => {
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 12 }), fc.option(fc.tuple(fc.nat(SOURCE.length - 2), text)), fc.nat(12), (edits, update, at) => {
      const [own, other] = [new Edits(SOURCE), new MagicString(SOURCE)] as const;
      // One character, inside of which nothing can be put.
      const all = update === null ? edits : edits.toSpliced(at, 0, ['update', update[0], update[0] + 1, update[1]] as never);
      for (const [method, ...given] of all) {
        (own[method as 'append'] as (...values: unknown[]) => unknown)(...given);
        (other[method as 'append'] as (...values: unknown[]) => unknown)(...given);
      }
      expect(own.toString()).toBe(other.toString());
      expect(own.clone().append('!').toString()).toBe(other.clone().append('!').toString());
    }),
  );
});

test('a clone is on its own', () => {
  const edits = new Edits('ab').appendLeft(1, '-');
  const clone = edits.clone().update(0, 1, 'x');
  expect([edits.toString(), clone.toString()]).toEqual(['a-b', 'x-b']);
});

test('an edit inside of another, of nothing, or beyond the source is refused', () => {
  expect(() => new Edits('abc').update(0, 3, 'x').appendLeft(1, 'y').toString()).toThrow(RangeError);
  expect(() => new Edits('abc').update(1, 1, 'x')).toThrow(RangeError);
  expect(() => new Edits('abc').appendRight(4, 'x')).toThrow(RangeError);
});
