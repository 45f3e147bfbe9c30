import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { BinaryWriter } from '../../src/protocol/codec.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { OP } from '../../src/transports/tcp/wire.ts';
import { envelope, reading } from '../conformance/transport.ts';
import { rawClient } from './raw-client.ts';

/** A field as most operations have them, so that decoding goes deeper than with bytes alone. */
const field = fc.oneof(
  fc.nat(300).map((value) => (out: BinaryWriter) => out.varint(value)),
  fc.constantFrom('', 'work', '__proto__', 'x'.repeat(300)).map((value) => (out: BinaryWriter) => out.string(value)),
  fc.uint8Array({ maxLength: 30 }).map((value) => (out: BinaryWriter) => out.raw(value)),
);

it('a hub answers any frames with a coded error at most, and goes on serving others', async () => {
  const hub = await connectTransport('tcp://127.0.0.1:0', { role: 'hub' });
  const client = await connectTransport(hub.url);
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.array(field, { maxLength: 5 })), { minLength: 1, maxLength: 6 }),
      async (handshake, frames) => {
        const raw = await rawClient(hub.url);
        if (handshake) raw.hello();
        for (const [op, fields] of frames) {
          raw.write(op, (out) => {
            for (const write of fields) write(out);
          });
        }
        raw.socket.end();
        await raw.closed;
        for (const { op, reader } of raw.frames.items) {
          if (op === OP.ERROR) expect(reader.string()).toMatch(/^SP_(TRANSPORT|PROTOCOL)_[A-Z_]+$/);
        }
      },
    ),
    { numRuns: 100_000, interruptAfterTimeLimit: 1000, markInterruptAsFailure: false },
  );
  const inbox = await reading(client, 'still-works');
  await hub.send('still-works', envelope('x'));
  await inbox.until(1);
  await client.close();
  await hub.close();
  expect(({} as Record<string, unknown>)['consumers']).toBeUndefined();
});
