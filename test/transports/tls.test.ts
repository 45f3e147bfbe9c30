import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { envelope, reading, text } from '../conformance/transport.ts';
import { startRabbitmq, type RabbitmqServer } from '../support/rabbitmq.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { describeWith } from '../support/requires.ts';
import { testAuthority, type TestAuthority } from '../support/tls.ts';

const opened: Transport[] = [];
async function keep(transport: Promise<Transport>): Promise<Transport> {
  opened.push(await transport);
  return transport;
}
afterEach(async () => {
  for (const transport of opened.splice(0).toReversed()) await transport.close();
});

async function carries(sender: Transport, receiver: Transport): Promise<void> {
  const inbox = await reading(receiver, 'over-tls');
  await sender.send('over-tls', envelope('unread by others'));
  expect(text((await inbox.until(1))[0]!.envelope)).toBe('unread by others');
}

function identity(authority: TestAuthority): { readonly ca: string; readonly cert: string; readonly key: string } {
  return { ca: authority.ca, cert: authority.client.cert, key: authority.client.key };
}

describeWith(['openssl'], 'TLS', () => {
  let directory: string;
  let mine: TestAuthority;
  let other: TestAuthority;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'spark-proxy-tls-'));
    [mine, other] = [await testAuthority(directory, 'mine'), await testAuthority(directory, 'other')];
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  describe('of a tcp hub', () => {
    const hubTls = (): object => ({ ca: mine.ca, cert: mine.server.cert, key: mine.server.key });

    it('carries frames between those who trust one authority', async () => {
      const hub = await keep(connectTransport('tcps://127.0.0.1:0', { role: 'hub', tls: hubTls() }));
      expect(hub.url).toMatch(/^tcps:/);
      await carries(await keep(connectTransport(hub.url, { tls: identity(mine) })), hub);
    });

    it('lets nobody in without a certificate of the authority, and tells a client at once', async () => {
      const hub = await keep(connectTransport('tcps://127.0.0.1:0', { role: 'hub', tls: hubTls() }));
      const began = performance.now();
      await expect(connectTransport(hub.url, { tls: { ca: mine.ca } })).rejects.toMatchObject({ code: 'SP_TRANSPORT_TLS' });
      await expect(connectTransport(hub.url, { tls: { ...identity(other), ca: mine.ca } })).rejects.toMatchObject({ code: 'SP_TRANSPORT_TLS' });
      expect(performance.now() - began).toBeLessThan(9000);
    });

    it('is not trusted when its certificate is of another authority or for another name', async () => {
      const hub = await keep(connectTransport('tcps://127.0.0.1:0', { role: 'hub', tls: hubTls() }));
      await expect(connectTransport(hub.url, { tls: { ...identity(mine), ca: other.ca } })).rejects.toMatchObject({ code: 'SP_TRANSPORT_TLS' });
      await expect(connectTransport(hub.url, { tls: { ...identity(mine), servername: 'elsewhere.test' } })).rejects.toMatchObject({ code: 'SP_TRANSPORT_TLS' });
    });

    it('listens beyond loopback only when clients must show certificates, or frames are signed', async () => {
      await expect(connectTransport('tcp://0.0.0.0:0', { role: 'hub' })).rejects.toMatchObject({ code: 'SP_TRANSPORT_NOT_LOOPBACK' });
      await expect(connectTransport('tcps://0.0.0.0:0', { role: 'hub', tls: { ...hubTls(), rejectUnauthorized: false } })).rejects.toMatchObject({
        code: 'SP_TRANSPORT_NOT_LOOPBACK',
      });
      await keep(connectTransport('tcps://0.0.0.0:0', { role: 'hub', tls: hubTls() }));
      await keep(connectTransport('tcp://0.0.0.0:0', { role: 'hub', allowRemote: true }));
    });

    it('refuses to serve without a certificate of its own, or an authority for its clients', async () => {
      await expect(connectTransport('tcps://127.0.0.1:0', { role: 'hub' })).rejects.toMatchObject({ code: 'SP_TRANSPORT_BAD_OPTION' });
      const { ca: _, ...without } = { ...hubTls() } as { ca: string };
      await expect(connectTransport('tcps://127.0.0.1:0', { role: 'hub', tls: without })).rejects.toMatchObject({ code: 'SP_TRANSPORT_BAD_OPTION' });
    });
  });

  describeWith(['redis'], 'to Redis', () => {
    let server: RedisServer;
    beforeAll(async () => {
      server = await startRedis({ tls: true, mutual: true, password: 'correct horse' });
    });
    afterAll(() => server.stop());

    it('carries frames, with certificates on both sides and a password', async () => {
      const options = { tls: identity(server.authority!) };
      await carries(await keep(connectTransport(server.url, options)), await keep(connectTransport(server.url, options)));
    });

    it('fails with a code, at once, when either side is not trusted', async () => {
      const { ca } = server.authority!;
      await expect(connectTransport(server.url, { tls: { ...identity(server.authority!), ca: other.ca } })).rejects.toMatchObject({ code: 'SP_TRANSPORT_TLS' });
      await expect(connectTransport(server.url, { tls: { ca }, connectTimeoutMs: 3000 })).rejects.toMatchObject({
        code: expect.stringMatching(/^SP_TRANSPORT_(TLS|CONNECT_FAILED)$/),
      });
    });
  });

  describeWith(['rabbitmq'], 'to RabbitMQ', () => {
    let server: RabbitmqServer;
    beforeAll(async () => {
      server = await startRabbitmq({ tls: true, mutual: true, user: 'proxy', password: 'correct horse' });
    }, 120_000);
    afterAll(() => server.stop());

    it('carries frames, with certificates on both sides and a password', async () => {
      const options = { tls: identity(server.authority!) };
      await carries(await keep(connectTransport(server.tlsUrl!, options)), await keep(connectTransport(server.tlsUrl!, options)));
    });

    it('fails with a code, at once, when either side is not trusted', async () => {
      const { ca } = server.authority!;
      await expect(connectTransport(server.tlsUrl!, { tls: { ...identity(server.authority!), ca: other.ca } })).rejects.toMatchObject({
        code: 'SP_TRANSPORT_TLS',
      });
      await expect(connectTransport(server.tlsUrl!, { tls: { ca }, connectTimeoutMs: 3000 })).rejects.toMatchObject({
        code: expect.stringMatching(/^SP_TRANSPORT_(TLS|CONNECT_FAILED)$/),
      });
    });

    it('refuses a wrong password with a code that shows no password', async () => {
      const url = server.url.replace('correct%20horse', 'wrong-horse');
      const began = performance.now();
      const error = await connectTransport(url).catch((e: unknown) => e as Error);
      expect(error).toMatchObject({ code: 'SP_TRANSPORT_AUTHENTICATION' });
      expect(String((error as Error).stack)).not.toContain('wrong-horse');
      expect(performance.now() - began).toBeLessThan(9000);
    });
  });
});
