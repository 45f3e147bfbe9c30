import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { createLogger } from '../../src/core/logger.ts';
import type { Envelope } from '../../src/protocol/envelope.ts';
import { decodeStatus } from '../../src/protocol/messages.ts';
import { EMPTY_BYTES } from '../../src/protocol/task.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { StatusOutbox, type OutgoingStatus } from '../../src/worker/status-outbox.ts';
import { microtasks, turn } from '../support/turns.ts';

const sent: string[] = [];
afterEach(() => sent.splice(0));

function outbox(): StatusOutbox {
  const send = async (queue: string, { body }: Envelope): Promise<void> => {
    sent.push(
      `${queue} ${decodeStatus(body)
        .map(({ update }) => update.taskId)
        .toString()}`,
    );
  };
  return new StatusOutbox({
    transport: { send } as Transport,
    clock: systemClock,
    logger: createLogger('test'),
    id: 'worker-1',
    queue: 'worker.worker-1',
    tooLarge: (status) => status,
  });
}

const status = (taskId: number): OutgoingStatus => ({
  application: 'app-1',
  epoch: 1,
  task: undefined,
  frame: undefined,
  update: { taskId, state: 'FINISHED', executorId: 'worker-1', data: EMPTY_BYTES },
});

test('what ends in one turn of the event loop shares a frame', async () => {
  const box = outbox();
  box.add('dispatcher.1', status(1));
  await microtasks();
  box.add('dispatcher.1', status(2));
  await microtasks();
  expect(sent).toEqual([]);
  await turn();
  expect(sent).toEqual(['dispatcher.1 1,2']);
});

test('the last of what runs leaves at once; what comes later waits for its turn again', async () => {
  const box = outbox();
  box.prompt();
  box.add('dispatcher.1', status(1));
  box.add('dispatcher.1', status(2));
  await microtasks();
  expect(sent).toEqual(['dispatcher.1 1,2']);
  box.add('dispatcher.1', status(3));
  await microtasks();
  expect(sent).toHaveLength(1);
  await turn();
  expect(sent).toEqual(['dispatcher.1 1,2', 'dispatcher.1 3']);
});

test('what is held for a dispatcher waits, beside what others are told', async () => {
  const box = outbox();
  box.hold('dispatcher.1');
  box.add('dispatcher.1', status(1));
  box.add('dispatcher.2', status(2));
  await turn();
  box.add('dispatcher.1', status(3));
  await turn();
  expect(sent).toEqual(['dispatcher.2 2']);
  box.reroute('dispatcher.1', 'dispatcher.3');
  await turn();
  expect(sent).toEqual(['dispatcher.2 2', 'dispatcher.3 1,3']);
});
