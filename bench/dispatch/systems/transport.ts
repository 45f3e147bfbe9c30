import { envelopeFactory } from '../../../src/protocol/batch.ts';
import { statusFor, statusOf, tasksFor, tasksOf } from '../../../src/protocol/handover.ts';
import type { LeasedTask } from '../../../src/protocol/messages.ts';
import { parseKeyRing } from '../../../src/security/key-ring.ts';
import { secureTransport } from '../../../src/security/secure-transport.ts';
import type { Transport } from '../../../src/transports/contract.ts';
import { connectTransport } from '../../../src/transports/index.ts';
import { PAYLOAD_BYTES, RESULT_BYTES, type Spec, type System } from './contract.ts';

const PREFETCH = 64;
const result = new Uint8Array(RESULT_BYTES);

/** A transport of this project, signed if the spec says so. */
export async function openTransport({ address, signed, queueType }: Spec, role: 'hub' | 'client'): Promise<Transport> {
  const transport = await connectTransport(address, { role, ...(queueType === undefined ? {} : { queueType }) });
  transport.setActive(true);
  return signed === true ? secureTransport(transport, parseKeyRing(Buffer.alloc(32, 7).toString('base64'), 'the benchmark')) : transport;
}

/** A transport alone, carrying the messages of the dispatcher: each frame a task message, each answer a status message. */
export const transport: System = {
  async client(spec, onDone, startWorker) {
    const own = await openTransport(spec, 'hub');
    const address = spec.address.startsWith('tcp:') ? own.url : spec.address;
    const envelope = envelopeFactory('driver-1');
    const payload = new Uint8Array(PAYLOAD_BYTES);
    const commons = ['a'.repeat(64)];
    const nowhere: string[] = [];
    let taskId = 0;
    await own.consume('driver', { prefetch: PREFETCH }, (delivery) => {
      const { length } = statusOf(delivery.envelope);
      delivery.ack();
      onDone(length);
    });
    await (spec.address.startsWith('memory:') ? transport.worker(spec) : startWorker({ ...spec, address }));
    return {
      submit(count) {
        const tasks: LeasedTask[] = [];
        for (let index = 0; index < count; index++) {
          const id = taskId++;
          tasks.push({
            application: 'app-1',
            epoch: 1,
            task: {
              taskId: id,
              attemptNumber: 0,
              executorId: 'external',
              name: `task ${index}.0 in stage 1.0 (TID ${id})`,
              index,
              stageId: 1,
              stageAttemptNumber: 0,
              kind: 'js',
              commons,
              payload,
              preferredLocations: nowhere,
              timeoutMs: 0,
            },
          });
        }
        void own.send('worker', envelope('tasks', tasksFor(own, tasks)));
      },
      close: () => own.close(),
    };
  },
  async worker(spec) {
    const own = await openTransport(spec, 'client');
    const envelope = envelopeFactory('worker-1');
    await own.consume('worker', { prefetch: PREFETCH }, (delivery) => {
      const updates = tasksOf(delivery.envelope).map(({ application, epoch, task }) => ({
        application,
        epoch,
        update: { taskId: task.taskId, state: 'FINISHED' as const, executorId: 'worker-1', data: result },
      }));
      void own.send('driver', envelope('status', statusFor(own, updates)));
      delivery.ack();
    });
  },
};
