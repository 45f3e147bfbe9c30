import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { BlockClient } from '../../src/shuffle/block-client.ts';
import { encodeRequest, MAGIC } from '../../src/shuffle/block-protocol.ts';
import { startBlockServer, type BlockServer } from '../../src/shuffle/block-server.ts';
import { fetchBlocks, readBlocks, writeMapOutput } from '../../src/shuffle/files.ts';
import { testAuthority } from '../support/tls.ts';
import { decodeMapOutputs, encodeMapOutputs, type MapStatus } from '../../src/shuffle/map-output.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function bed(): Promise<{ directory: string; server: BlockServer; client: BlockClient }> {
  const directory = mkdtempSync(join(tmpdir(), 'blocks-'));
  ends.push(() => rmSync(directory, { recursive: true, force: true }));
  const server = await startBlockServer({ directory, host: '127.0.0.1', machine: 'far' });
  ends.push(() => server.close());
  const client = new BlockClient({ timeoutMs: 2000 });
  ends.push(() => client.close());
  return { directory, server, client };
}

function outputs({ directory, server }: { directory: string; server: BlockServer }, maps: number, size: number): MapStatus[] {
  return Array.from({ length: maps }, (_, map) =>
    writeMapOutput(join(directory, 'app-1'), `shuffle_0_${map}.data`, 'e', [[randomBytes(size)], [], [randomBytes(3), randomBytes(size)]], {
      location: server.location,
    }),
  );
}

test('blocks of another machine are the bytes of its files, large ones and many at a time', async () => {
  const here = await bed();
  const statuses = outputs(here, 40, 700_000);
  const wire = decodeMapOutputs(encodeMapOutputs({ shuffleId: 0, statuses }));
  expect(wire.statuses).toEqual(statuses);
  for (const partition of [0, 1, 2]) {
    const fetched = await fetchBlocks(wire, partition, 'near', here.client);
    const local = [...readBlocks(wire, partition)];
    expect([...readBlocks(wire, partition, fetched)].every((block, i) => block.equals(local[i] as Buffer))).toBe(true);
    expect(fetched?.size ?? 0).toBe(partition === 1 ? 0 : 40);
  }
  expect(fetchBlocks(wire, 0, 'far', here.client)).toBeUndefined();
});

test('a missing, short or changed file fails the fetch of its map task; others are served on', async () => {
  const here = await bed();
  const statuses = outputs(here, 4, 1000);
  rmSync(statuses[1]?.path as string);
  const failed = (mapIndex: number): unknown => expect.objectContaining({ code: 'SP_SHUFFLE_FETCH_FAILED', fields: expect.objectContaining({ mapIndex }) });
  await expect(fetchBlocks({ shuffleId: 0, statuses }, 0, 'near', here.client)).rejects.toEqual(failed(1));
  truncateSync(statuses[2]?.path as string, 10);
  const two = { shuffleId: 0, statuses: [statuses[0] as MapStatus, statuses[2] as MapStatus] };
  await expect(fetchBlocks(two, 0, 'near', here.client)).rejects.toEqual(failed(1));
  writeFileSync(statuses[3]?.path as string, randomBytes(5000));
  await expect(fetchBlocks({ shuffleId: 0, statuses: [statuses[3] as MapStatus] }, 0, 'near', here.client)).rejects.toThrow('checksum mismatch');
  expect((await fetchBlocks({ shuffleId: 0, statuses: [statuses[0] as MapStatus] }, 0, 'near', here.client))?.size).toBe(1);
});

test('without its token, or for anything but a block file of an application, the server ends the connection and gives nothing', async () => {
  const { server, directory } = await bed();
  writeFileSync(join(directory, '..', 'secret-of-others'), 'secret');
  ends.push(() => rmSync(join(directory, '..', 'secret-of-others')));
  const port = Number(server.location.address.split(':')[1]);
  const token = Buffer.from(server.location.token, 'hex');
  const attempt = async (...parts: Buffer[]): Promise<Buffer> => {
    const socket = connect(port, '127.0.0.1');
    const got: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => got.push(chunk)).on('error', () => undefined);
    socket.write(Buffer.concat(parts));
    await once(socket, 'close');
    return Buffer.concat(got);
  };
  const ask = (file: string): Buffer => encodeRequest({ id: 1, file, offset: 0, size: 6 });
  expect(await attempt(MAGIC, randomBytes(32), ask('a/b'))).toHaveLength(0);
  expect(await attempt(Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), randomBytes(32))).toHaveLength(0);
  for (const file of ['../secret-of-others', 'a/../../secret-of-others', './secret', '..', 'a', '/etc/passwd', 'a/b\0', 'a/b/c', ''])
    expect(await attempt(MAGIC, token, ask(file)), file).toHaveLength(0);
  expect(await attempt(MAGIC, token, Buffer.from([0xff, 0xff, 0xff, 0xff, 0]))).toHaveLength(0);
  const bad = encodeRequest({ id: 1, file: 'a/b', offset: -1, size: 6 });
  expect(await attempt(MAGIC, token, bad)).toHaveLength(0);
});

test('a server that is gone, silent, or of another kind fails the fetch in time', async () => {
  const here = await bed();
  const [status] = outputs(here, 1, 1000) as [MapStatus];
  await here.server.close();
  await expect(fetchBlocks({ shuffleId: 0, statuses: [status] }, 0, 'near', here.client)).rejects.toThrow(/FETCH_FAILED|cannot be read/);
  const other = createServer((socket) => void socket.on('error', () => undefined).on('data', () => undefined));
  const chatty = createServer((socket) => void socket.on('error', () => undefined).write(randomBytes(64)));
  const impatient = new BlockClient({ timeoutMs: 100 });
  ends.push(() => impatient.close());
  for (const server of [other, chatty]) {
    server.listen(0, '127.0.0.1').unref();
    await once(server, 'listening');
    ends.push(() => server.close());
    const location = { machine: 'x', address: `127.0.0.1:${(server.address() as AddressInfo).port}`, token: here.server.location.token };
    await expect(fetchBlocks({ shuffleId: 0, statuses: [{ ...status, location }] }, 0, 'near', impatient)).rejects.toThrow('cannot be read');
  }
});

test('with certificates, only readers of the same authority get blocks, and the token is shown to nobody else', async () => {
  const { directory } = await bed();
  const [mine, other] = [await testAuthority(directory, 'mine'), await testAuthority(directory, 'other')];
  const server = await startBlockServer({ directory, host: '127.0.0.1', machine: 'far', tls: { ca: mine.ca, ...mine.server } });
  ends.push(() => server.close());
  const statuses = outputs({ directory, server }, 2, 1000);
  const fetched = async (tls: { ca: string; cert?: string; key?: string }): Promise<number | undefined> => {
    const client = new BlockClient({ timeoutMs: 2000, tls });
    ends.push(() => client.close());
    return (await fetchBlocks({ shuffleId: 0, statuses }, 0, 'near', client))?.size;
  };
  expect(server.location.address).toMatch(/^tls:127\.0\.0\.1:\d+$/);
  expect(await fetched({ ca: mine.ca, ...mine.client })).toBe(2);
  await expect(fetched({ ca: mine.ca })).rejects.toThrow('cannot be read');
  await expect(fetched({ ca: mine.ca, ...other.client })).rejects.toThrow('cannot be read');
  await expect(fetched({ ca: other.ca, ...mine.client })).rejects.toThrow('cannot be read');
});
