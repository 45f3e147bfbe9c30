import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { difference, Differences, restore } from '../../src/apache-spark/differences.ts';
import { FrameWriter } from '../../src/apache-spark/frames.ts';
import { SparkProxyError } from '../../src/core/errors.ts';
import type { Blob } from '../../src/protocol/task.ts';

/** Some kilobytes that repeat little. */
const BASE = Buffer.from(Array.from({ length: 4000 }, (_, i) => (i * i * 31 + i * 7) % 251));

describe('a task and its base', () => {
  test('whatever was put in, left out or changed, the task is restored, or told to be another', () => {
    const edit = fc.record({ at: fc.nat(BASE.length), leave: fc.nat(60), own: fc.uint8Array({ maxLength: 60 }) });
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 12 }), (edits) => {
        let task = BASE;
        for (const { at, leave, own } of edits) task = Buffer.concat([task.subarray(0, at), own, task.subarray(at + leave)]);
        const told = difference(BASE, task);
        if (told === undefined) return;
        expect(told.length).toBeLessThanOrEqual(task.length / 2);
        expect(Buffer.from(restore(BASE, told))).toEqual(task);
      }),
    );
  });

  test('numbers of other lengths cost their own bytes and 12 each', () => {
    const text = (id: number): Buffer => Buffer.concat([Buffer.from(`task ${id} in stage`), BASE, Buffer.from(`(TID ${id})`), BASE.subarray(100)]);
    const told = difference(text(9), text(12_345)) as Buffer;
    expect(told.length).toBeLessThan(4 * 12 + 20);
    expect(Buffer.from(restore(text(9), told))).toEqual(text(12_345));
    expect(difference(text(9), Buffer.alloc(4000, 1))).toBeUndefined();
    expect(difference(text(9), Buffer.alloc(0))?.length).toBe(0);
  });

  test('no bytes restore anything but a task or say that they are malformed', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: -5, max: 300 }), fc.integer({ min: -5, max: 300 }), fc.uint8Array({ maxLength: 9 }))), (parts) => {
        const told = new FrameWriter(0);
        for (const [same, leave, own] of parts) told.u32(same).u32(leave).bytes(own);
        try {
          restore(BASE.subarray(0, 300), told.finish().subarray(1));
        } catch (error) {
          expect(SparkProxyError.is(error) && error.code).toBe('SP_SPARK_MALFORMED_FRAME');
        }
      }),
    );
    expect(() => restore(BASE, Buffer.alloc(5))).toThrow(/malformed/);
  });
});

describe('bases of stages', () => {
  const store = () => {
    const blobs = new Map<string, Uint8Array>();
    return { blobs, putBlob: ({ hash, bytes }: Blob) => void blobs.set(hash, bytes), releaseBlob: (hash: string) => void blobs.delete(hash) };
  };
  const task = (id: number): Buffer => Buffer.concat([Buffer.of(id), BASE]);

  test('the first task of a stage is the base of the others, once there are any', () => {
    const kept = store();
    const differences = new Differences(kept);
    expect(differences.of('0.0', task(1))).toEqual({ payload: task(1), commons: [] });
    expect(kept.blobs.size).toBe(0);
    const { payload, commons } = differences.of('0.0', task(2));
    expect([...kept.blobs.keys()]).toEqual(commons);
    expect(Buffer.from(restore(kept.blobs.get(commons[0] as string) as Uint8Array, payload))).toEqual(task(2));
    expect(differences.of('0.0', task(3)).commons).toEqual(commons);
    expect(differences.of('1.0', task(4)).commons).toEqual([]);
    expect(differences.of('0.0', Buffer.alloc(100)).commons).toEqual([]);
  });

  test('only the latest are kept, and none that is large', () => {
    const kept = store();
    const differences = new Differences(kept);
    for (let stage = 0; stage < 100; stage++) for (const id of [1, 2]) differences.of(`${stage}.0`, Buffer.concat([Buffer.of(stage), task(id)]));
    expect(kept.blobs.size).toBe(32);
    for (const fill of [1, 1]) expect(differences.of('large', Buffer.alloc(262_145, fill)).commons).toEqual([]);
    expect(differences.of('99.0', Buffer.concat([Buffer.of(99), task(3)])).commons.length).toBe(1);
  });
});
