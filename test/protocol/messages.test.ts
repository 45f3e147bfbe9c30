import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentHash } from '../../src/core/ids.ts';
import { SparkProxyError } from '../../src/core/errors.ts';
import { BATCH_LIMITS, envelopeFactory, splitBatch, statusBytes, taskBytes } from '../../src/protocol/batch.ts';
import { BinaryWriter } from '../../src/protocol/codec.ts';
import { decodeFailure, encodeFailure } from '../../src/protocol/failure.ts';
import { leasedStatus, leasedTask } from '../support/messages.ts';
import {
  decodeBlob,
  decodeBlobMissing,
  decodeCancel,
  decodeDrain,
  decodeStatus,
  decodeTasks,
  encodeBlob,
  encodeBlobMissing,
  encodeCancel,
  encodeDrain,
  encodeStatus,
  encodeTasks,
  type LeasedTask,
} from '../../src/protocol/messages.ts';

const code = (expected: string) => expect.objectContaining({ code: expected });
function task(extra: Partial<LeasedTask['task']> = {}): LeasedTask {
  return {
    application: 'app-1',
    epoch: 1,
    task: {
      taskId: 7,
      attemptNumber: 0,
      executorId: 'external',
      name: 'task 3.0 in stage 1.0 (TID 7)',
      index: 3,
      stageId: 1,
      stageAttemptNumber: 0,
      kind: 'js',
      commons: ['f'.repeat(64)],
      payload: new Uint8Array(10),
      preferredLocations: [],
      timeoutMs: 0,
      ...extra,
    },
  };
}

describe('message bodies', () => {
  it('carry batches of tasks', () => {
    fc.assert(
      fc.property(fc.array(leasedTask, { maxLength: 20 }), (tasks) => {
        const decoded = decodeTasks(encodeTasks(tasks));
        expect(decoded).toEqual(tasks);
        expect(decoded.map((leased) => leased.task.name)).toEqual(tasks.map((leased) => leased.task.name));
      }),
      { numRuns: 300 },
    );
  });

  it('carry batches of status updates', () => {
    fc.assert(
      fc.property(fc.array(leasedStatus, { maxLength: 20 }), (updates) => {
        expect(decodeStatus(encodeStatus(updates))).toEqual(updates);
      }),
      { numRuns: 300 },
    );
  });

  it('refuse a status whose run time is none', () => {
    const status = (runMs: number | undefined) =>
      encodeStatus([{ application: 'a', epoch: 1, update: { taskId: 1, state: 'FINISHED', executorId: 'w', data: new Uint8Array(0), runMs } }]);
    for (const runMs of [-1, Number.NaN]) expect(() => decodeStatus(status(runMs))).toThrow(code('SP_PROTOCOL_MALFORMED'));
    // As in the one before, where there is none; both at once; a flag nobody knows.
    for (const flag of [64, 32 | 64, 128]) {
      const body = status(undefined);
      const at = body.indexOf(1 << 2);
      body[at] = (body[at] as number) | flag;
      expect(() => decodeStatus(body)).toThrow(code('SP_PROTOCOL_MALFORMED'));
    }
  });

  it('spell out what tasks share only once', () => {
    const tasks = Array.from({ length: 64 }, (_, i) =>
      task({ taskId: i, index: i, name: '', payload: new Uint8Array(0), commons: ['a'.repeat(64), 'b'.repeat(64)] }),
    );
    expect(encodeTasks(tasks).length).toBeLessThan(64 * 8 + 200);
    const decoded = decodeTasks(encodeTasks(tasks));
    expect(new Set(decoded.map((each) => each.task.commons)).size).toBe(1);
  });

  it('carry blobs, missing blobs, cancels and drains', () => {
    const bytes = Uint8Array.of(1, 2, 3);
    expect(decodeBlob(encodeBlob({ hash: contentHash(bytes), bytes }))).toEqual({ hash: contentHash(bytes), bytes });
    expect(decodeBlobMissing(encodeBlobMissing(['x', 'y']))).toEqual(['x', 'y']);
    const cancels = [{ application: 'a', taskId: 7, epoch: 2, reason: 'no longer wanted' }];
    expect(decodeCancel(encodeCancel(cancels))).toEqual(cancels);
    expect(decodeDrain(encodeDrain('SIGTERM'))).toBe('SIGTERM');
  });

  it('refuse a blob whose content is not that of its hash', () => {
    const bytes = encodeBlob({ hash: contentHash(Uint8Array.of(1, 2, 3)), bytes: Uint8Array.of(1, 2, 4) });
    expect(() => decodeBlob(bytes)).toThrow(code('SP_PROTOCOL_BLOB_MISMATCH'));
  });

  it('refuse what cannot be encoded, and encode well afterwards', () => {
    expect(() => encodeTasks([task({ taskId: -1 })])).toThrow(code('SP_PROTOCOL_BAD_VALUE'));
    expect(() =>
      encodeStatus([{ application: 'a', epoch: 1, update: { taskId: 1, state: 'DONE' as never, executorId: 'w', data: new Uint8Array(0) } }]),
    ).toThrow(code('SP_PROTOCOL_BAD_VALUE'));
    expect(() => encodeBlobMissing(new Array<string>(65_537).fill('x'))).toThrow(code('SP_PROTOCOL_BAD_VALUE'));
    expect(decodeTasks(encodeTasks([task()]))).toEqual([task()]);
  });

  it('refuse bodies of another version and wild references', () => {
    const body = encodeTasks([task({ name: '' })]);
    expect(() => decodeTasks(Uint8Array.from(body, (byte, i) => (i === 0 ? 9 : byte)))).toThrow(code('SP_PROTOCOL_UNKNOWN_VERSION'));
    // A first task that is "as the one before".
    expect(() => decodeTasks(Uint8Array.from(body, (byte, i) => (i === 3 ? 1 : byte)))).toThrow(/task 0 has flags 1/);
    // A string by a number nobody gave.
    const wild = new BinaryWriter();
    for (const byte of [2, 1, 0, 0, 7, 1, 0, 3, 0, 42]) wild.u8(byte);
    expect(() => decodeTasks(wild.finish())).toThrow(/string 42 of 0/);
  });

  it('carry names of any text, each its own', () => {
    // Halves of a pair that meet in one piece of text, text of several bytes a character, none at all.
    const names = ['\ud83d', '\ude00', 'ünïcödé', '', '\u{1f600}', 'task 3.0 in stage 1.0 (TID 7)', 'x'.repeat(500)];
    const decoded = decodeTasks(encodeTasks(names.map((name) => task({ name }))));
    expect(decoded.map((each) => each.task.name)).toEqual(names);
  });

  it('refuse names that are not those of their tasks', () => {
    const body = encodeTasks([task({ name: 'n'.repeat(119) })]);
    const lengthAt = body.indexOf(119, 3 + 119);
    for (const length of [118, 120]) {
      const changed = Uint8Array.from(body, (byte, i) => (i === lengthAt ? length : byte));
      expect(() => decodeTasks(changed)).toThrow(code('SP_PROTOCOL_MALFORMED'));
    }
  });

  it('refuse durations that are none', () => {
    for (const timeoutMs of [Number.NaN, -1]) expect(() => decodeTasks(encodeTasks([task({ timeoutMs })]))).toThrow(code('SP_PROTOCOL_MALFORMED'));
  });

  it('allocate nothing on the word of a count', () => {
    const huge = new BinaryWriter();
    huge.u8(2);
    huge.varint(Number.MAX_SAFE_INTEGER);
    const bytes = huge.finish();
    for (const decode of [decodeTasks, decodeStatus, decodeBlobMissing, decodeCancel, decodeBlob, decodeDrain]) {
      expect(() => decode(bytes)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^SP_PROTOCOL_/) }));
    }
  });
});

describe('failures as data', () => {
  it('keep name, message, code, stack and causes', () => {
    const error = Object.assign(new TypeError('bad input', { cause: new Error('deeper', { cause: 'a string' }) }), { code: 'E_APP' });
    const back = decodeFailure(encodeFailure(error)) as Error & { code?: string; cause: Error & { cause: Error } };
    expect([back.name, back.message, back.code, back.stack]).toEqual(['TypeError', 'bad input', 'E_APP', error.stack]);
    expect(back).not.toBeInstanceOf(TypeError);
    expect(back.cause.message).toBe('deeper');
    expect(back.cause.cause.message).toBe('a string');
  });

  it('rebuild coded errors of this package as such', () => {
    const original = new SparkProxyError('SP_PROTOCOL_MALFORMED', 'broken', 'repair it');
    const back = decodeFailure(encodeFailure(original));
    expect(SparkProxyError.is(back) && back.code).toBe('SP_PROTOCOL_MALFORMED');
  });

  it('are bounded, whatever was thrown', () => {
    const endless = new Error('x'.repeat(1_000_000));
    endless.stack = 'y'.repeat(1_000_000);
    endless.cause = endless;
    expect(encodeFailure(endless).length).toBeLessThan(400_000);
    expect(decodeFailure(encodeFailure(endless)).message.length).toBe(16_384);
  });

  it('can be made of anything that is thrown', () => {
    const hostile = {
      get message(): string {
        throw new Error('gotcha');
      },
    };
    for (const thrown of [undefined, null, 0, 'text', Symbol('s'), 10n, {}, Object.create(null), hostile, () => 1]) {
      expect(decodeFailure(encodeFailure(thrown))).toBeInstanceOf(Error);
    }
  });

  it('give a coded error when they are none', () => {
    for (const bytes of [[], [9], [1], [1, 255], [1, 0, 50], [...new Uint8Array(50).fill(1).fill(8, 1)]]) {
      expect(decodeFailure(Uint8Array.from(bytes))).toMatchObject({ code: expect.stringMatching(/^SP_PROTOCOL_/) });
    }
  });

  it('never let the wire choose a class', () => {
    const writer = new BinaryWriter();
    writer.u8(1);
    writer.u8(2);
    for (const text of ['__proto__', 'message', 'constructor']) writer.string(text);
    const back = decodeFailure(writer.finish());
    expect(Object.getPrototypeOf(back)).toBe(Error.prototype);
    expect(back.name).toBe('__proto__');
  });
});

describe('batches', () => {
  it('keep order and stay within their limits, but for items that are too large alone', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(150), { maxLength: 60 }), fc.integer({ min: 1, max: 10 }), (sizes, maxItems) => {
        const batches = splitBatch(sizes, (size) => size, { maxItems, maxBytes: 100 });
        expect(batches.flat()).toEqual(sizes);
        for (const batch of batches) {
          expect(batch.length).toBeGreaterThan(0);
          expect(batch.length).toBeLessThanOrEqual(maxItems);
          if (batch.length > 1) expect(batch.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(100);
        }
        // Greedy: no batch could have taken the first item of the next.
        for (let i = 1; i < batches.length; i++) {
          const [before, first] = [batches[i - 1]!, batches[i]![0]!];
          expect(before.length === maxItems || before.reduce((sum, size) => sum + size, 0) + first > 100).toBe(true);
        }
      }),
    );
  });

  it('fit a frame by the sizes the helpers estimate', () => {
    const tasks = Array.from({ length: 500 }, (_, i) => task({ taskId: i, payload: new Uint8Array(i * 40) }));
    for (const batch of splitBatch(tasks, taskBytes)) {
      expect(batch.length).toBeLessThanOrEqual(BATCH_LIMITS.maxItems);
      expect(encodeTasks(batch).length).toBeLessThanOrEqual(BATCH_LIMITS.maxBytes + 1024);
    }
    const status = { application: 'a', epoch: 1, update: { taskId: 1, state: 'FINISHED' as const, executorId: 'w', data: new Uint8Array(100) } };
    expect(statusBytes(status)).toBeGreaterThan(100);
  });

  it('travel in envelopes with ids that are never the same', () => {
    const make = envelopeFactory('worker-1', 'answers');
    const envelopes = Array.from({ length: 100 }, () => make('status', new Uint8Array(0)));
    expect(new Set(envelopes.map((each) => each.id)).size).toBe(100);
    expect(envelopes[0]).toMatchObject({ type: 'status', sender: 'worker-1', replyTo: 'answers' });
  });
});
