import { contentHash } from '../../../src/core/ids.ts';
import { createDispatcher } from '../../../src/dispatcher/service.ts';
import { createRegisterCenter } from '../../../src/registry/index.ts';
import { createSelector } from '../../../src/selectors/index.ts';
import { createWorkerHost } from '../../../src/worker/index.ts';
import { IN_FLIGHT, PAYLOAD_BYTES, RESULT_BYTES, type System } from './contract.ts';
import { openTransport } from './transport.ts';

const result = new Uint8Array(RESULT_BYTES);

/** The whole way: submit, pool, lease, a worker host whose runner answers at once, result, epoch checked, report. */
export const dispatcher: System = {
  async client(spec, onDone, startWorker) {
    const transport = await openTransport(spec, 'hub');
    const registry = createRegisterCenter(transport);
    let ready: () => void = () => undefined;
    const joined = new Promise<void>((resolve) => (ready = resolve));
    const own = await createDispatcher({
      transport,
      registry,
      selector: createSelector('RANDOM'),
      listener: {
        statusUpdate: (_, { state }) => {
          if (state === 'FINISHED') onDone(1);
        },
        handBack: () => {
          throw new Error('handed back');
        },
        workerLost: () => undefined,
        capacityChanged: () => {
          if (own.capacity().workers > 0) ready();
        },
      },
    });
    const local = { ...spec, address: spec.address.startsWith('tcp:') ? transport.url : spec.address };
    await (spec.address.startsWith('memory:') ? dispatcher.worker(local) : startWorker(local));
    await joined;
    const stage = Buffer.from('stage');
    const hash = contentHash(stage);
    own.putBlob({ hash, bytes: stage });
    const payload = new Uint8Array(PAYLOAD_BYTES);
    let taskId = 0;
    return {
      submit(count) {
        const submissions = Array.from({ length: count }, (_, index) => ({
          application: 'bench',
          task: {
            taskId: taskId++,
            attemptNumber: 0,
            executorId: 'external',
            name: `task ${index}.0 in stage 0.0 (TID ${taskId})`,
            index,
            stageId: 0,
            stageAttemptNumber: 0,
            kind: 'js',
            commons: [hash],
            payload,
            preferredLocations: [],
            timeoutMs: 0,
          },
        }));
        own.submit(submissions);
      },
      async close() {
        await own.close();
        await registry.close();
        await transport.close();
      },
    };
  },
  async worker(spec) {
    const transport = await openTransport(spec, 'client');
    const registry = createRegisterCenter(transport);
    const runner = { kind: 'js', run: async () => result, kill: () => undefined, close: async () => undefined };
    await createWorkerHost({ transport, registry, runners: [runner], slots: IN_FLIGHT });
  },
};
