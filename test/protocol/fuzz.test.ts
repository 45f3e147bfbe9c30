import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { SparkProxyError } from '../../src/core/errors.ts';
import { contentHash } from '../../src/core/ids.ts';
import { decodeEnvelope, encodeEnvelope } from '../../src/protocol/codec.ts';
import { decodeFailure, encodeFailure } from '../../src/protocol/failure.ts';
import * as messages from '../../src/protocol/messages.ts';
import * as registry from '../../src/registry/messages.ts';

const text = Uint8Array.from('__proto__', (c) => c.charCodeAt(0));
const task = {
  taskId: 7,
  attemptNumber: 0,
  executorId: 'external',
  name: 'task 3.0 in stage 1.0 (TID 7)',
  index: 3,
  stageId: 1,
  stageAttemptNumber: 0,
  kind: '__proto__',
  commons: ['a', 'b'],
  payload: text,
  preferredLocations: ['x'],
  timeoutMs: 5,
};
const load = { running: 1, queued: 300, draining: false };

/** Each decoder with a valid message to damage. */
const decoders: Record<string, { decode: (bytes: Uint8Array) => unknown; valid: Uint8Array }> = {
  envelope: { decode: (bytes) => decodeEnvelope(bytes), valid: encodeEnvelope({ id: 'i', type: 'constructor', sender: 's', replyTo: 'r', body: text }) },
  tasks: {
    decode: messages.decodeTasks,
    valid: messages.encodeTasks([
      { application: 'app', epoch: 1, task },
      { application: 'app', epoch: 2, task: { ...task, kind: 'js' } },
    ]),
  },
  status: {
    decode: messages.decodeStatus,
    valid: messages.encodeStatus([{ application: 'app', epoch: 1, update: { taskId: 1, state: 'FAILED', executorId: 'w', data: text } }]),
  },
  blob: { decode: messages.decodeBlob, valid: messages.encodeBlob({ hash: contentHash(text), bytes: text }) },
  'blob-missing': { decode: messages.decodeBlobMissing, valid: messages.encodeBlobMissing(['a', 'b']) },
  cancel: { decode: messages.decodeCancel, valid: messages.encodeCancel([{ application: 'a', taskId: 1, epoch: 1, reason: 'r' }]) },
  drain: { decode: messages.decodeDrain, valid: messages.encodeDrain('r') },
  announce: {
    decode: registry.decodeAnnounce,
    valid: registry.encodeAnnounce(
      {
        kind: 'worker',
        id: 'w',
        host: 'h',
        pid: 1,
        version: '1',
        slots: 2,
        kinds: ['js'],
        labels: JSON.parse('{"__proto__":"x","constructor":"y"}') as never,
        queue: 'q',
      },
      load,
    ),
  },
  beat: { decode: registry.decodeBeat, valid: registry.encodeBeat('w', load) },
  leave: { decode: registry.decodeLeave, valid: registry.encodeLeave('w') },
  failure: {
    decode(bytes) {
      const error = decodeFailure(bytes);
      expect(error).toBeInstanceOf(Error);
      return error;
    },
    valid: encodeFailure(new Error('x', { cause: new Error('y') })),
  },
};

function survives(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    decode(bytes);
  } catch (error) {
    if (!SparkProxyError.is(error) || !error.code.startsWith('SP_PROTOCOL_')) throw error;
  }
}

describe('decoders throw coded errors only', () => {
  const before = Object.getOwnPropertyNames(Object.prototype);
  afterAll(() => expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before));

  for (const [name, { decode, valid }] of Object.entries(decoders)) {
    it(`${name}: of a valid message in which any one bit is flipped, or that ends anywhere`, () => {
      decode(valid);
      for (let bit = 0; bit < valid.length * 8; bit++) {
        const bytes = Uint8Array.from(valid);
        bytes[bit >>> 3]! ^= 1 << (bit & 7);
        survives(decode, bytes);
      }
      for (let length = 0; length < valid.length; length++) survives(decode, valid.subarray(0, length));
    });

    it(`${name}: of random bytes, and of valid ones with random parts`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(valid.length), fc.nat(valid.length), (random, a, b) => {
          survives(decode, random);
          survives(decode, Buffer.concat([valid.subarray(0, a), random, valid.subarray(b)]));
        }),
        { numRuns: 1_000_000, interruptAfterTimeLimit: 150, markInterruptAsFailure: false },
      );
    });
  }
});
