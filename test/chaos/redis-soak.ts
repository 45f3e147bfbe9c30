/**
 * Two senders and two readers of one queue on Redis, whose connections are cut, which are replaced, and whose server is killed
 * and started again, for a while: `npm run chaos -- soak [seconds]`. Nothing that was taken may be lost, nothing may come a
 * second time as if it were the first, nothing may overtake, and nothing may be left in Redis.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import type { Delivery, Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import type { BrokerClientOptions } from '../../src/transports/settings.ts';
import { faultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { startRedis } from '../support/redis.ts';

export interface SoakOptions {
  readonly seconds: number;
  /** Kills of the server among the faults. @defaultValue true */
  readonly restarts?: boolean;
  /** Readers of the queue: one of them has it to itself and reads by itself. @defaultValue 2 */
  readonly readers?: 1 | 2;
  /** Frames the queue takes: where there is much room, senders add to it by themselves. @defaultValue 40 */
  readonly room?: number;
}

export interface SoakReport {
  /** Frames whose `send` resolved, and those that a handler was given. */
  readonly sent: number;
  readonly seen: number;
  /** Of those sent, never given to a handler; and sends that failed. */
  readonly missing: readonly string[];
  readonly failed: readonly string[];
  /** Given a second time: at least once is what is promised. */
  readonly repeated: number;
  /** Of these, not marked as redelivered; and frames that overtook an earlier one of their sender. */
  readonly unmarked: readonly string[];
  readonly overtaking: readonly string[];
  readonly cuts: number;
  readonly replaced: number;
  readonly restarts: number;
  /** Keys in Redis when all is over. */
  readonly left: readonly string[];
}

const QUEUE = 'soak';
const LIMIT_MS = 60_000;
const ID_BYTES = 12;
const UNDER_WAY = 100;
const OPTIONS: BrokerClientOptions = { maxBackoffMs: 50, heartbeatMs: 200, consumerTtlMs: 1500, disconnectTimeoutMs: LIMIT_MS };

const upTo = (most: number): number => Math.floor(Math.random() * most);

/** Small ones that travel in their envelopes, larger ones beside them, and now and then one in pieces. */
function bodyOf(id: string): Uint8Array {
  const kind = Math.random();
  const body = Buffer.alloc(ID_BYTES + (kind < 0.02 ? 300_000 : kind < 0.5 ? upTo(1500) : upTo(25_000)));
  body.write(id.padEnd(ID_BYTES));
  return body;
}

export async function soakRedis({ seconds, restarts: mayRestart = true, readers: count = 2, room = 40 }: SoakOptions): Promise<SoakReport> {
  // What was confirmed must survive a kill: with `everysec` Redis confirms what it has not written while it waits for a disk.
  const server = await startRedis({ appendOnly: true, args: ['--appendfsync', 'always'] });
  const proxies = await Promise.all(Array.from({ length: 4 }, () => faultProxy(server.port)));
  const open = (proxy: FaultProxy): Promise<Transport> => connectTransport(`redis://127.0.0.1:${proxy.port}`, { ...OPTIONS, maxQueueFrames: room } as object);
  const began = performance.now();
  /** What was given out of each frame: reader, name in the stream, time. */
  const given = new Map<string, string[]>();
  const sent = new Set<string>();
  const failed: string[] = [];
  const unmarked: string[] = [];
  const overtaking: string[] = [];
  let [repeated, cuts, replaced, restarts] = [0, 0, 0, 0];

  const handler = (reader: string): ((delivery: Delivery) => void) => {
    const latest = new Map<string, number>();
    return (delivery) => {
      const id = Buffer.from(delivery.envelope.body.subarray(0, ID_BYTES)).toString().trim();
      const history = given.get(id) ?? [];
      given.set(id, history);
      const { tag } = delivery as { tag?: string };
      history.push(`${tag} to ${reader}${delivery.redelivered ? ' again' : ''} at ${Math.round(performance.now() - began)} ms`);
      if (history.length > 1) repeated++;
      if (!delivery.redelivered) {
        if (history.length > 1) unmarked.push(`${id}: ${history.join(', ')}`);
        const [sender, number] = id.split(':') as [string, string];
        if ((latest.get(sender) ?? -1) > Number(number)) overtaking.push(`${id} to ${reader}`);
        latest.set(sender, Number(number));
      }
      const fate = Math.random();
      if (fate < 0.02) delivery.nack();
      else if (fate < 0.5) delivery.ack();
      else setTimeout(() => delivery.ack(), upTo(30));
    };
  };

  const transports = new Set<Transport>();
  const reader = async (proxy: FaultProxy, name: string): Promise<Transport> => {
    const transport = await open(proxy);
    transports.add(transport);
    await transport.consume(QUEUE, { prefetch: 1 + upTo(40) }, handler(name));
    return transport;
  };
  const end = async (transport: Transport): Promise<void> => {
    await transport.close();
    transports.delete(transport);
  };

  const over = performance.now() + seconds * 1000;
  const send = async (transport: Transport, sender: number): Promise<void> => {
    const underWay = new Set<Promise<void>>();
    for (let i = 0; performance.now() < over; i++) {
      const id = `${sender}:${i}`;
      const sending = transport
        .send(QUEUE, { id, type: 'soak', sender: `s${sender}`, replyTo: '', body: bodyOf(id) })
        .then(
          () => void sent.add(id),
          (error: Error) => void failed.push(`${id}: ${error.message}`),
        )
        .finally(() => underWay.delete(sending));
      underWay.add(sending);
      if (underWay.size > UNDER_WAY) await Promise.race(underWay);
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(underWay);
  };

  try {
    const senders = [await open(proxies[0]!), await open(proxies[1]!)];
    for (const each of senders) transports.add(each);
    const readers = [await reader(proxies[2]!, 'a')];
    if (count === 2) readers.push(await reader(proxies[3]!, 'b'));
    const faults = async (): Promise<void> => {
      while (performance.now() < over) {
        await wait(100 + upTo(300));
        const kind = Math.random();
        if (kind < 0.75) {
          const proxy = proxies[upTo(proxies.length)]!;
          if (Math.random() < 0.5) proxy.cut();
          else proxy.cutAfter(upTo(60_000));
          cuts++;
        } else if (kind < 0.95) {
          const which = upTo(readers.length);
          const former = readers[which]!;
          readers[which] = await reader(proxies[2 + which]!, `c${replaced++}`);
          await end(former);
        } else if (mayRestart) {
          await server.restart();
          restarts++;
        }
      }
    };
    await Promise.all([...senders.map(send), faults()]);
    const client = server.client();
    const limit = performance.now() + LIMIT_MS;
    const stream = `spark-proxy:default:q:${QUEUE}`;
    while ((await client.xlen(stream)) > 0 && performance.now() < limit) await wait(50);
    const missing = [...sent].filter((id) => !given.has(id));
    // The last goodbyes go through cuts, too.
    await Promise.all([
      ...[...transports].map(async (transport) => {
        await wait(upTo(20));
        await end(transport);
      }),
      (async () => {
        for (const proxy of proxies) {
          await wait(upTo(5));
          proxy.cut();
        }
      })(),
    ]);
    const left = await client.keys('*');
    return { sent: sent.size, seen: given.size, missing, failed, repeated, unmarked, overtaking, cuts, replaced, restarts, left };
  } finally {
    await Promise.all([...transports].map((transport) => transport.close()));
    for (const proxy of proxies) await proxy.close();
    await server.stop();
  }
}

/** Rounds of ten seconds, with one reader and two, little room and much. False: one went wrong. */
export async function runRedisSoak(seconds: number): Promise<boolean> {
  let good = true;
  for (let done = 0; done < seconds; done += 10) {
    const { sent, seen, missing, failed, repeated, unmarked, overtaking, cuts, replaced, restarts, left } = await soakRedis({
      seconds: 10,
      readers: (done / 10) % 2 === 0 ? 1 : 2,
      room: (done / 20) % 2 < 1 ? 65_536 : 40,
    });
    console.log(`${sent} frames sent, ${seen} seen, ${repeated} of them twice; ${cuts} cuts, ${replaced} readers replaced, ${restarts} restarts of Redis`);
    for (const [what, which] of Object.entries({ missing, failed, unmarked, overtaking, left })) {
      if (which.length === 0) continue;
      good = false;
      console.log(`WRONG: ${which.length} ${what}: ${which.slice(0, 5).join('; ')}`);
    }
  }
  return good;
}
