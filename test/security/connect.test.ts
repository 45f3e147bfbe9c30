import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { loadConfiguration, type Configuration } from '../../src/core/config.ts';
import { connectConfigured, mayListen, newKeyLine } from '../../src/security/index.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { envelope, reading } from '../conformance/transport.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function configured(keyed: boolean): Configuration {
  if (!keyed) return loadConfiguration({ env: {} });
  const directory = mkdtempSync(join(tmpdir(), 'spark-proxy-connect-'));
  ends.push(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'keys');
  writeFileSync(file, `${newKeyLine('one')}\n`, { mode: 0o600 });
  return loadConfiguration({ env: {}, flags: [['key.file', file]] });
}

test('frames that leave the process are signed when there is a key, those that do not are not', async () => {
  for (const [url, signed] of [
    ['memory:connect', false],
    ['tcp://127.0.0.1:0', true],
  ] as const) {
    const sender = await connectConfigured(url, configured(true), { role: 'hub' });
    ends.push(() => sender.close());
    const bare = await connectTransport(sender.url);
    ends.push(() => bare.close());
    const inbox = await reading(bare, 'queue');
    await sender.send('queue', envelope('body'));
    const [delivery] = await inbox.until(1);
    expect(delivery?.envelope.body.length === 4).toBe(!signed);
  }
});

test('a hub for other machines needs a key, and so does whatever listens beside it', async () => {
  await expect(connectConfigured('tcp://0.0.0.0:0', configured(false), { role: 'hub' })).rejects.toMatchObject({ code: 'SP_TRANSPORT_NOT_LOOPBACK' });
  const hub = await connectConfigured('tcp://0.0.0.0:0', configured(true), { role: 'hub' });
  ends.push(() => hub.close());
  expect(() => mayListen('it', '10.0.0.1', configured(false))).toThrow(expect.objectContaining({ code: 'SP_SECURITY_KEY_NEEDED' }));
  mayListen('it', '10.0.0.1', configured(true));
  mayListen('it', '127.0.0.3', configured(false));
});
