import { expect, it } from 'vitest';
import { envelopeFactory } from '../../src/protocol/batch.ts';
import { tasksFor, tasksOf } from '../../src/protocol/handover.ts';
import type { LeasedTask } from '../../src/protocol/messages.ts';
import type { Delivery, Transport } from '../../src/transports/contract.ts';

interface Parties {
  readonly sender: Transport;
  readonly receiver: Transport;
  readonly queue: string;
}

/** Envelopes whose bodies were not encoded by who sends them: a part of the contract of transports. */
export function unencoded(parties: () => Parties, start: (limits: { readonly maxFrameBytes: number }) => Promise<void>, close: () => Promise<void>): void {
  it('carries a message that was not encoded, as it was when it was sent, again and again', async () => {
    const { sender, receiver, queue } = parties();
    const make = (size: number): LeasedTask => ({
      application: 'app',
      epoch: 3,
      task: {
        ...{ taskId: 7, attemptNumber: 0, executorId: 'w', name: 'a task', index: 1, stageId: 2, stageAttemptNumber: 0, kind: 'js', commons: ['c'] },
        ...{ payload: new Uint8Array(size).fill(9), preferredLocations: [], timeoutMs: 5 },
      },
    });
    const sealed = envelopeFactory('tester', 'answers');
    const sent = make(1000);
    const sending = sender.send(queue, sealed('tasks', tasksFor({ inProcess: true }, [sent, sent])));
    sent.task.payload.fill(0);
    (sent.task.commons as string[]).push('later');
    await sending;
    const seen: Delivery[] = [];
    const twice = Promise.withResolvers<void>();
    await receiver.consume(queue, {}, (delivery) => {
      const [first, second] = tasksOf(delivery.envelope);
      expect([first, second]).toEqual([make(1000), make(1000)]);
      (first as { epoch: number }).epoch = 4;
      if (seen.push(delivery) === 2) twice.resolve();
      if (delivery.redelivered) delivery.ack();
      else delivery.nack();
    });
    await twice.promise;
    const [one, two] = seen;
    expect([one!.redelivered, two!.redelivered]).toEqual([false, true]);
    expect(two!.envelope).toMatchObject({ type: 'tasks', sender: 'tester', replyTo: 'answers', id: one!.envelope.id });
  });

  it('refuses such a message over the limit', async () => {
    await close();
    await start({ maxFrameBytes: 100_000 });
    const { sender, receiver, queue } = parties();
    const sealed = envelopeFactory('tester');
    const payload = new Uint8Array(50_000);
    const task = { taskId: 7, attemptNumber: 0, executorId: 'w', name: 'a task', index: 1, stageId: 2, stageAttemptNumber: 0, kind: 'js', commons: [] };
    const leased: LeasedTask = { application: 'app', epoch: 1, task: { ...task, payload, preferredLocations: [], timeoutMs: 0 } };
    const arrived = Promise.withResolvers<Delivery>();
    await receiver.consume(queue, {}, (delivery) => {
      delivery.ack();
      arrived.resolve(delivery);
    });
    await expect(sender.send(queue, sealed('tasks', tasksFor({ inProcess: true }, [leased, leased])))).rejects.toMatchObject({
      code: 'SP_TRANSPORT_FRAME_TOO_LARGE',
    });
    await sender.send(queue, sealed('tasks', tasksFor({ inProcess: true }, [leased])));
    expect(tasksOf((await arrived.promise).envelope)).toEqual([leased]);
  });
}
