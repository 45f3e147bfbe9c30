import { expect, test } from 'vitest';
import { createLogger } from '../../src/core/logger.ts';
import { Outbox } from '../../src/dispatcher/outbox.ts';
import { decodeTasks, type LeasedTask } from '../../src/protocol/messages.ts';
import type { Envelope } from '../../src/protocol/envelope.ts';
import type { Transport } from '../../src/transports/contract.ts';
import { APP, task } from './fixtures.ts';
import { microtasks, turn } from '../support/turns.ts';

const lease = (taskId: number): LeasedTask => ({ application: APP, epoch: 1, task: task(taskId) });

function outbox(held: Readonly<Record<string, number>>): { box: Outbox; sent: string[] } {
  const sent: string[] = [];
  const send = async (queue: string, { type, body }: Envelope): Promise<void> => {
    const what = type === 'tasks' ? decodeTasks(body).map((one) => one.task.taskId) : type;
    sent.push(`${queue} ${what.toString()}`);
  };
  const box = new Outbox({
    transport: { send } as Transport,
    logger: createLogger('test'),
    id: 'dispatcher-1',
    replyTo: 'dispatcher.dispatcher-1',
    held: (workerId) => held[workerId] ?? 0,
    blob: () => undefined,
    onUnsendableTask: (_worker, _leased, cause) => {
      throw cause;
    },
    onUnsendableBlob: (_worker, _hash, cause) => {
      throw cause;
    },
  });
  return { box, sent };
}

test('a worker that holds nothing else is written to at once, and what was said before the microtask shares its frame', async () => {
  const { box, sent } = outbox({ a: 2 });
  box.send('a', 'worker.a', [], [lease(1)]);
  box.send('a', 'worker.a', [], [lease(2)]);
  expect(sent).toEqual([]);
  await microtasks();
  expect(sent).toEqual(['worker.a 1,2']);
});

test('one that has work is written to at the end of the turn, with what the turn still brings', async () => {
  const { box, sent } = outbox({ a: 5 });
  box.send('a', 'worker.a', [], [lease(1)]);
  await microtasks();
  box.send('a', 'worker.a', [], [lease(2)]);
  await microtasks();
  expect(sent).toEqual([]);
  await turn();
  expect(sent).toEqual(['worker.a 1,2']);
});

test('each worker has its own frames, cancels come behind tasks, and nothing of one that was dropped is sent', async () => {
  const { box, sent } = outbox({});
  box.cancel('a', 'worker.a', { application: APP, taskId: 1, epoch: 1, reason: 'test' });
  box.send('a', 'worker.a', [], [lease(1)]);
  box.send('b', 'worker.b', [], [lease(2)]);
  box.send('c', 'worker.c', [], [lease(3)]);
  box.drop('b');
  await turn();
  box.cancel('a', 'worker.a', { application: APP, taskId: 1, epoch: 1, reason: 'test' });
  await turn();
  box.send('b', 'worker.b', [], [lease(4)]);
  await turn();
  expect(sent).toEqual(['worker.a 1', 'worker.a cancel', 'worker.c 3', 'worker.a cancel', 'worker.b 4']);
});
