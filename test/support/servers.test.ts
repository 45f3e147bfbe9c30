import { connect } from 'amqplib';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { startRedis } from './redis.ts';
import { sharedRabbitmq } from './rabbitmq.ts';
import { describeWith } from './requires.ts';
import { serverDirectory, startServer } from './server-process.ts';

it('a server ends with its owner, also when that is killed, and its directory goes with it', async () => {
  const owner = spawn('sleep', ['1000'], { stdio: 'ignore' });
  const directory = serverDirectory('owned');
  const server = await startServer({ command: 'sleep', args: ['1000'], directory, ready: async () => undefined, readyMs: 1000, owner: owner.pid as number });
  owner.kill('SIGKILL');
  await expect.poll(() => server.alive, { timeout: 20_000 }).toBe(false);
  await expect.poll(() => existsSync(directory), { timeout: 20_000 }).toBe(false);
});

describeWith(['redis', 'openssl'], 'private Redis servers', () => {
  it('keep what was appended over a kill and a restart, and leave nothing', async () => {
    const server = await startRedis({ appendOnly: true, password: 'secret word' });
    const client = server.client();
    await client.set('a', '1');
    const [, directory] = (await client.config('GET', 'dir')) as [string, string];
    await server.kill();
    await server.restart();
    expect(await server.client().get('a')).toBe('1');
    await server.stop();
    expect(existsSync(directory)).toBe(false);
  });

  it('speak TLS with certificates on both sides', async () => {
    const server = await startRedis({ tls: true, mutual: true });
    expect(await server.client().ping()).toBe('PONG');
    await server.stop();
  });
});

describeWith(['rabbitmq', 'openssl'], 'the RabbitMQ of a run', () => {
  it('is one for all who ask', { timeout: 120_000 }, async () => {
    const [url, again] = await Promise.all([sharedRabbitmq(), sharedRabbitmq()]);
    expect(again).toBe(url);
    const connection = await connect(url);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue('q', { autoDelete: true, exclusive: true });
    channel.sendToQueue('q', Buffer.from('hello'));
    await channel.waitForConfirms();
    await connection.close();
  });
});
