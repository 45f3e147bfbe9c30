import { chmodSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../registry/fake-clock.ts';
import { newKeyLine, open, parseKeyRing, seal, watchKeyFile } from '../../src/security/index.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

describe('a key ring', () => {
  test('signs with its first key and accepts all; comments and empty lines are passed over', () => {
    const ring = parseKeyRing(`# keys\n\n${newKeyLine('new')} # since today\r\n${newKeyLine('old')}\n`, 'the test');
    expect(ring.current.id).toBe('new');
    expect(ring.all().map(({ id }) => id)).toEqual(['new', 'old']);
    expect(ring.get('old')).toBeDefined();
    expect(ring.get('other')).toBeUndefined();
  });

  test('derives keys that have nothing in common for each use', () => {
    const { current } = parseKeyRing(newKeyLine('one'), 'the test');
    const exported = (['sign', 'seal', 'link'] as const).map((purpose) => current.key(purpose).export().toString('hex'));
    expect(new Set(exported).size).toBe(3);
  });

  test.each([
    ['', 'it is empty'],
    ['# only a comment', 'it is empty'],
    ['one: c2hvcnQ=', 'line 1: key one has 5 bytes, at least 32 are needed'],
    ['\none: not base64!', 'line 2: key one is not base64'],
    ['one', 'line 1: key default has 2 bytes, at least 32 are needed'],
    ['bad id: AAAA', 'line 1: a key has an id of 1 to 32 letters, digits, dots and dashes'],
    [`${newKeyLine('one')}\n${newKeyLine('one')}`, 'line 2: key one is there twice'],
    [Array.from({ length: 17 }, (_, i) => newKeyLine(`k${i}`)).join('\n'), 'more than 16 keys'],
  ])('refuses %j without showing it', (content, reason) => {
    expect(() => parseKeyRing(content, 'keys')).toThrow(
      expect.objectContaining({ code: 'SP_SECURITY_BAD_KEY', message: expect.stringContaining(`keys holds no usable key: ${reason}`) as string }),
    );
  });
});

describe('a key file', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'spark-proxy-keys-'));
    path = join(directory, 'keys');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test('is read again when it changes; a bad one is refused and the keys stay', () => {
    const clock = new FakeClock();
    writeFileSync(path, `${newKeyLine('one')}\n`, { mode: 0o600 });
    const ring = watchKeyFile(path, clock);
    const replace = (content: string, mode = 0o600): void => {
      writeFileSync(`${path}.new`, content, { mode });
      chmodSync(`${path}.new`, mode);
      renameSync(`${path}.new`, path);
      clock.advance(2000);
    };
    replace(`${newKeyLine('two')}\n${newKeyLine('one')}\n`);
    expect(ring.current.id).toBe('two');
    expect(ring.get('one')).toBeDefined();
    replace('nonsense');
    expect(ring.current.id).toBe('two');
    replace(`${newKeyLine('three')}\n`, 0o644);
    expect(ring.current.id).toBe('two');
    replace(`${newKeyLine('three')}\n`);
    expect(ring.all().map(({ id }) => id)).toEqual(['three']);
    rmSync(path);
    clock.advance(2000);
    expect(ring.current.id).toBe('three');
  });

  test('that others may read, or that is not there, is refused', () => {
    expect(() => watchKeyFile(path)).toThrow(expect.objectContaining({ code: 'SP_SECURITY_KEY_FILE', message: expect.stringContaining('ENOENT') as string }));
    writeFileSync(path, `${newKeyLine('one')}\n`);
    chmodSync(path, 0o640);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(() => watchKeyFile(path)).toThrow(
      expect.objectContaining({ code: 'SP_SECURITY_KEY_FILE', message: expect.stringContaining('others may read it (mode 640)') as string }),
    );
  });
});

describe('a sealed secret', () => {
  const ring = parseKeyRing(newKeyLine('one'), 'the test');

  test('opens with its ring and purpose only, and shows nothing of itself', () => {
    const sealed = seal(ring, 'secret of app-1', Buffer.from('hush'));
    expect(text(open(ring, 'secret of app-1', sealed))).toBe('hush');
    expect(text(sealed)).not.toContain('hush');
    expect(seal(ring, 'secret of app-1', Buffer.from('hush'))).not.toEqual(sealed);
    const refused = expect.objectContaining({ code: 'SP_SECURITY_SEALED' }) as Error;
    expect(() => open(ring, 'secret of app-2', sealed)).toThrow(refused);
    expect(() => open(parseKeyRing(newKeyLine('two'), 'the test'), 'secret of app-1', sealed)).toThrow(refused);
    expect(() => open(parseKeyRing(newKeyLine('one'), 'the test'), 'secret of app-1', sealed)).toThrow(refused);
  });

  test('does not open with any bit changed, or cut off', () => {
    const sealed = seal(ring, 'p', Buffer.from('hush'));
    const refused = expect.objectContaining({ code: 'SP_SECURITY_SEALED' }) as Error;
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Uint8Array.from(sealed);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => open(ring, 'p', changed)).toThrow(refused);
    }
    for (let length = 0; length < sealed.length; length++) expect(() => open(ring, 'p', sealed.subarray(0, length))).toThrow(refused);
  });

  test('opens with keys that sign no more, while they are in the ring', () => {
    const [a, b] = [newKeyLine('a'), newKeyLine('b')];
    const sealed = seal(parseKeyRing(a, 'the test'), 'p', Buffer.from('hush'));
    expect(text(open(parseKeyRing(`${b}\n${a}`, 'the test'), 'p', sealed))).toBe('hush');
  });
});
