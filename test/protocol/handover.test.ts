import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { envelopeFactory } from '../../src/protocol/batch.ts';
import { encodeEnvelope, decodeEnvelope, envelopeBytes } from '../../src/protocol/codec.ts';
import type { Content } from '../../src/protocol/envelope.ts';
import { statusFor, statusOf, tasksFor, tasksOf } from '../../src/protocol/handover.ts';
import { encodeStatus, encodeTasks, type LeasedStatus, type LeasedTask } from '../../src/protocol/messages.ts';
import { StageTask } from '../../src/protocol/task.ts';
import { leasedStatus, leasedTask } from '../support/messages.ts';

const here = { inProcess: true };
const envelope = envelopeFactory('sender', 'answers');
const isContent = (body: Uint8Array | Content): body is Content => !(body instanceof Uint8Array);

/** Handed over, as a transport would do it. */
function content(body: Uint8Array | Content): Content {
  expect(isContent(body)).toBe(true);
  return body as Content;
}

const task = (extra: Partial<LeasedTask['task']> = {}): LeasedTask => ({
  application: 'a',
  epoch: 1,
  task: new StageTask({
    ...{ taskId: 1, attemptNumber: 0, executorId: 'w', index: 0, stageId: 0, stageAttemptNumber: 0, kind: 'js', commons: ['c'] },
    ...{ payload: Uint8Array.of(1, 2, 3), preferredLocations: ['h'], timeoutMs: 0 },
    ...extra,
  }),
});
const status = (extra: Partial<LeasedStatus['update']> = {}): LeasedStatus => ({
  application: 'a',
  epoch: 1,
  update: { taskId: 1, state: 'FINISHED', executorId: 'w', data: Uint8Array.of(9), ...extra },
});

describe('messages that stay in a process', () => {
  it('say what the encoded ones say, tasks', () => {
    fc.assert(
      fc.property(fc.array(leasedTask, { maxLength: 20 }), (tasks) => {
        const handed = content(tasksFor(here, tasks));
        const got = tasksOf(envelope('tasks', handed));
        expect(got).toEqual(tasks);
        expect(got.map(({ task: { name } }) => name)).toEqual(tasks.map(({ task: { name } }) => name));
        expect(got.map((leased) => leased.task instanceof StageTask)).toEqual(tasks.map((leased) => leased.task instanceof StageTask));
        expect(handed.encode()).toEqual(encodeTasks(tasks));
        expect(handed.bytes).toBeGreaterThanOrEqual(handed.encode().length);
      }),
      { numRuns: 300 },
    );
  });

  it('say what the encoded ones say, status updates', () => {
    fc.assert(
      fc.property(fc.array(leasedStatus, { maxLength: 20 }), (updates) => {
        const handed = content(statusFor(here, updates));
        expect(statusOf(envelope('status', handed))).toEqual(updates);
        expect(handed.encode()).toEqual(encodeStatus(updates));
        expect(handed.bytes).toBeGreaterThanOrEqual(handed.encode().length);
      }),
      { numRuns: 300 },
    );
  });

  it('are encoded for a transport that leaves the process, and wherever somebody asks for bytes', () => {
    expect(tasksFor({}, [task()])).toEqual(encodeTasks([task()]));
    expect(statusFor({ inProcess: false }, [status()])).toEqual(encodeStatus([status()]));
    const sent = envelope('tasks', tasksFor(here, [task()]));
    const received = decodeEnvelope(encodeEnvelope(sent));
    expect(received.content).toBeUndefined();
    expect(tasksOf(received)).toEqual([task()]);
    expect(received.body).toEqual(sent.body);
  });

  it('do not change with what they were made of, nor with what a reader does', () => {
    const [payload, commons, preferredLocations] = [Uint8Array.of(1, 2, 3), ['c'], ['h']];
    const sent = envelope('tasks', tasksFor(here, [task({ payload, commons, preferredLocations })]));
    payload.fill(0);
    commons.push('later');
    preferredLocations.length = 0;
    const first = tasksOf(sent)[0] as LeasedTask;
    expect(first).toEqual(task());
    (first.task.commons as string[]).push('mine');
    (first.task as { taskId: number }).taskId = 5;
    expect(tasksOf(sent)).toEqual([task()]);
    expect(sent.body).toEqual(encodeTasks([task()]));

    const data = Uint8Array.of(9);
    const said = envelope('status', statusFor(here, [status({ data })]));
    data.fill(0);
    expect(statusOf(said)).toEqual([status()]);
  });

  it('refuse what cannot be encoded', () => {
    const bad = { code: 'SP_PROTOCOL_BAD_VALUE' };
    for (const wrong of [-1, 0.5, Number.NaN, 2 ** 53]) {
      for (const field of ['taskId', 'attemptNumber', 'index', 'stageId', 'stageAttemptNumber'] as const) {
        expect(() => tasksFor(here, [task({ [field]: wrong })])).toThrow(expect.objectContaining(bad));
        expect(() => encodeTasks([task({ [field]: wrong })])).toThrow(expect.objectContaining(bad));
      }
      expect(() => statusFor(here, [status({ taskId: wrong })])).toThrow(expect.objectContaining(bad));
    }
    expect(() => tasksFor(here, [task({ timeoutMs: -1 })])).toThrow(expect.objectContaining(bad));
    expect(() => statusFor(here, [status({ runMs: Number.NaN })])).toThrow(expect.objectContaining(bad));
    expect(() => statusFor(here, [status({ state: 'DONE' as never })])).toThrow(expect.objectContaining(bad));
    expect(() =>
      tasksFor(
        here,
        Array.from({ length: 65_537 }, () => task()),
      ),
    ).toThrow(expect.objectContaining(bad));
    // One after a refusal is whole.
    expect(tasksOf(envelope('tasks', tasksFor(here, [task()])))).toEqual([task()]);
  });

  it('of another type are read from their bytes, which do not fit', () => {
    expect(() => tasksOf(envelope('tasks', statusFor(here, [status()])))).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^SP_PROTOCOL_/) as string }),
    );
  });

  it('count what they carry, and are encoded where a limit is near', () => {
    const sent = envelope('tasks', tasksFor(here, [task({ payload: new Uint8Array(10_000) })]));
    const exact = envelopeBytes({
      id: sent.id,
      type: sent.type,
      sender: sent.sender,
      replyTo: sent.replyTo,
      body: encodeTasks([task({ payload: new Uint8Array(10_000) })]),
    });
    expect(envelopeBytes(sent)).toBeGreaterThanOrEqual(exact);
    expect(envelopeBytes(sent)).toBeLessThan(exact + 500);
    expect(envelopeBytes(sent, exact)).toBe(exact);
  });
});
