import { afterEach, expect, test } from 'vitest';
import { connectAdmin } from '../../src/cli/admin-client.ts';
import { newId } from '../../src/core/ids.ts';
import { applicationsQueue } from '../../src/dispatcher/gateway.ts';
import { ADMIN_MESSAGE, decodeAdminRequest, encodeAdminReply } from '../../src/protocol/admin.ts';
import { envelopeFactory } from '../../src/protocol/batch.ts';
import { createRegisterCenter } from '../../src/registry/index.ts';
import { LEADER_LABELS } from '../../src/registry/leader.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { registration } from '../dispatcher/fixtures.ts';
import { cleanup } from '../worker/fixtures.ts';

const ends = cleanup();
afterEach(() => ends.run());

const BEATS = { beatMs: 50, ttlMs: 60_000 };

async function open() {
  const url = `memory:${newId('test')}`;
  const transport = await connectTransport(url);
  ends.add(() => transport.close());
  const registry = createRegisterCenter(transport, BEATS);
  ends.add(() => registry.close());

  /** A dispatcher that says it leads, and answers, or only hears. */
  const leader = async (id: string, term: number, answers: boolean) => {
    let hear: (question: string) => void = () => undefined;
    const heard = new Promise<string>((resolve) => (hear = resolve));
    const queue = `dispatcher.${id}`;
    const envelope = envelopeFactory(id, queue);
    await transport.consume(applicationsQueue(queue), {}, (delivery) => {
      delivery.ack();
      const request = decodeAdminRequest(delivery.envelope.body);
      hear(request.question);
      if (answers) void transport.send(delivery.envelope.replyTo, envelope(ADMIN_MESSAGE.reply, encodeAdminReply(request.id, { answeredBy: id })));
    });
    const labels = { [LEADER_LABELS.role]: 'leader', [LEADER_LABELS.term]: String(term) };
    return { heard, announcement: await registry.announce(registration(id, { kind: 'dispatcher', queue, labels })) };
  };

  const client = await connectAdmin('test', { url, conf: ['registry.beat=50ms', 'registry.ttl=60s', 'log.level=error'] });
  ends.add(() => client.close());
  return { client, leader };
}

test.each(['takes its place', 'comes after a while without any'] as const)('what changes nothing is asked again of the leader that %s', async (how) => {
  const { client, leader } = await open();
  const first = await leader('first', 1, false);
  const answer = client.ask('status', {});
  await first.heard;
  if (how !== 'takes its place') await first.announcement.leave();
  await leader('second', 2, true);
  expect(await answer).toEqual({ answeredBy: 'second' });
});

test('what changes something is asked once: whether it was done is not known', async () => {
  const { client, leader } = await open();
  const first = await leader('first', 1, false);
  const answer = client.ask('drain', { worker: 'w' });
  await first.heard;
  const second = await leader('second', 2, true);
  await expect(answer).rejects.toMatchObject({ code: 'SP_CLI_LEADS_NO_MORE' });
  await client.ask('drain', { worker: 'w' });
  expect(await second.heard).toBe('drain');
});

test('several questions asked before anybody leads are all answered', async () => {
  const { client, leader } = await open();
  const answers = Promise.all([client.ask('status', {}), client.ask('tasks', {}), client.ask('apps', {})]);
  await leader('first', 1, true);
  expect(await answers).toEqual(Array(3).fill({ answeredBy: 'first' }));
});
