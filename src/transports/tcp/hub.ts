import { createServer as createTlsServer } from 'node:tls';
import { createServer, isIPv4, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import { SparkProxyError } from '../../core/errors.ts';
import { newId } from '../../core/ids.ts';
import { createLogger } from '../../core/logger.ts';
import { envelopeBytes, type BinaryReader } from '../../protocol/codec.ts';
import { Broker, type BrokerConsumer } from '../broker.ts';
import type { Transport } from '../contract.ts';
import { transportErrors } from '../errors.ts';
import { localTransport } from '../local.ts';
import { adopt } from '../slab-reads.ts';
import { tlsServerOptions } from '../tls.ts';
import { Link, readError } from './link.ts';
import { createSessions, type Session, type Sessions } from './sessions.ts';
import type { TcpSettings } from './settings.ts';
import { OP, WIRE_MAGIC, WIRE_VERSION } from './wire.ts';

const logger = createLogger('tcp-hub');

/** What one connection may hold open. */
const MAX_PER_CONNECTION = 10_000;
/** Bytes of sends that wait for room in their queues, of one connection; clients that keep to their window stay far below. */
const MAX_WAITING_BYTES = 268_435_456;
const MAX_WAITING_SENDS = 65_536;
const MAX_REFUSED = 1000;
/** A client that says nothing must not hold a connection. */
const HANDSHAKE_MS = 10_000;

interface HubContext {
  readonly id: string;
  readonly url: string;
  readonly broker: Broker;
  readonly sessions: Sessions;
  readonly settings: TcpSettings;
  readonly clock: Clock;
}

/** One client, seen from the hub. */
class HubConnection {
  readonly link: Link;
  readonly #context: HubContext;
  readonly #consumers = new Map<number, BrokerConsumer>();
  readonly #subscriptions = new Map<number, () => void>();
  readonly #onClosed: (connection: HubConnection) => void;
  #confirmed: number[] = [];
  #session: Session | undefined;
  #waitingBytes = 0;
  #dropped = 0;

  constructor(socket: Socket, context: HubContext, onClosed: (connection: HubConnection) => void) {
    this.#context = context;
    this.#onClosed = onClosed;
    const { settings, clock } = context;
    const handshake = clock.after(HANDSHAKE_MS, () => this.link.fail(transportErrors.BAD_FRAME({ reason: 'no handshake' })), { background: true });
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    this.link = new Link(
      (reads) => adopt(socket, reads),
      { url: peer, maxFrameBytes: settings.maxFrameBytes, heartbeatMs: settings.heartbeatMs, missedBeats: settings.missedBeats, clock },
      {
        frame: (op, reader) => {
          if (this.#session !== undefined) return this.#frame(op, reader, this.#session);
          handshake.cancel();
          this.#hello(op, reader);
        },
        beforeFlush: () => this.#writeConfirms(),
        drained: () => {
          for (const consumer of this.#consumers.values()) consumer.resume();
        },
        closed: (reason) => {
          handshake.cancel();
          this.#end(reason, peer);
        },
      },
    );
  }

  #hello(op: number, reader: BinaryReader): void {
    const { settings, sessions } = this.#context;
    if (op !== OP.HELLO || reader.u32() !== WIRE_MAGIC) throw transportErrors.BAD_FRAME({ reason: 'no handshake' });
    const version = reader.varint();
    if (version !== WIRE_VERSION) throw transportErrors.VERSION({ version, known: WIRE_VERSION });
    const sessionId = reader.string();
    const theirs = reader.varint();
    reader.end();
    if (theirs < settings.maxFrameBytes) throw transportErrors.LIMITS({ theirs: settings.maxFrameBytes, ours: theirs });
    // The old connection of a client that came back may still look alive here.
    this.#session = sessions.take(sessionId, this, () =>
      this.link.destroy(transportErrors.LOST({ url: this.#context.url, reason: 'its client connected again' })),
    );
    this.link.established();
    const out = this.link.start(OP.WELCOME);
    out.varint(WIRE_VERSION);
    out.string(this.#context.id);
    out.varint(settings.maxFrameBytes);
    out.varint(settings.windowFrames);
    out.varint(settings.windowBytes);
    this.link.finish();
  }

  #frame(op: number, reader: BinaryReader, session: Session): void {
    switch (op) {
      case OP.SEND:
        return this.#send(reader, session);
      case OP.ACK: {
        const count = reader.count('acknowledgements', 2);
        for (let i = 0; i < count; i++) {
          const consumer = this.#consumers.get(reader.varint());
          // Read the whole entry before asking who is there: `consumer?.ack(reader.varint())` would not read it for one that is gone.
          const tag = reader.varint();
          consumer?.ack(tag);
        }
        return reader.end();
      }
      case OP.NACK: {
        const consumer = this.#consumers.get(reader.varint());
        const tag = reader.varint();
        const requeue = reader.u8() !== 0;
        consumer?.nack(tag, requeue);
        return reader.end();
      }
      case OP.BROADCAST:
        return this.#context.broker.broadcast(reader.name(), this.link.envelope(reader));
      case OP.DELETE:
        return this.#delete(reader, session);
      case OP.CONSUME:
        return this.#consume(reader);
      case OP.CANCEL:
        return this.#cancel(reader);
      case OP.SUBSCRIBE:
        return this.#subscribe(reader);
      case OP.UNSUBSCRIBE: {
        const request = reader.varint();
        const id = reader.varint();
        this.#subscriptions.get(id)?.();
        this.#subscriptions.delete(id);
        return this.#reply(request);
      }
      case OP.ERROR:
        throw readError(reader);
      default:
        throw transportErrors.BAD_FRAME({ reason: `operation ${op} is unknown` });
    }
  }

  #send(reader: BinaryReader, session: Session): void {
    const seq = reader.varint();
    const queue = reader.name();
    const envelope = this.link.envelope(reader);
    if (!session.isNew(seq)) {
      // Sent again: it is in its queue already, or waits for room there and is confirmed when it has it.
      if (session.refused.has(seq)) this.#reject(seq, session.refused.get(seq));
      else if (!session.waiting.has(seq)) this.#confirm(seq);
      return;
    }
    const bytes = envelopeBytes(envelope);
    let room: Promise<void> | undefined;
    try {
      if (bytes > this.#context.settings.maxFrameBytes) throw transportErrors.FRAME_TOO_LARGE({ bytes, limit: this.#context.settings.maxFrameBytes });
      room = this.#context.broker.put(queue, envelope);
    } catch (error) {
      session.refused.set(seq, error);
      if (session.refused.size > MAX_REFUSED) session.refused.delete(session.refused.keys().next().value as number);
      return this.#reject(seq, error);
    }
    if (room === undefined) this.#confirm(seq);
    else this.#waitFor(room, seq, bytes, session);
  }

  /** A send that waits for room outlives its connection; whoever has the session then is told. */
  #waitFor(room: Promise<void>, seq: number, bytes: number, session: Session): void {
    session.waiting.add(seq);
    this.#waitingBytes += bytes;
    room.then(
      () => {
        session.waiting.delete(seq);
        this.#waitingBytes -= bytes;
        session.owner?.confirm(seq);
      },
      () => session.waiting.delete(seq),
    );
    if (session.waiting.size > MAX_WAITING_SENDS) throw transportErrors.OVERLOADED({ what: 'sends waiting for room', limit: MAX_WAITING_SENDS });
    if (this.#waitingBytes > MAX_WAITING_BYTES) throw transportErrors.OVERLOADED({ what: 'bytes waiting for room', limit: MAX_WAITING_BYTES });
  }

  #delete(reader: BinaryReader, session: Session): void {
    const seq = reader.varint();
    const queue = reader.string();
    reader.end();
    if (session.isNew(seq)) this.#context.broker.deleteQueue(queue);
    this.#confirm(seq);
  }

  #consume(reader: BinaryReader): void {
    const request = reader.varint();
    const id = reader.varint();
    const queue = reader.string();
    const prefetch = reader.varint();
    reader.end();
    this.#answer(request, () => {
      this.#checkRoom(this.#consumers, id, 'consumers');
      const consumer = this.#context.broker.consume(queue, {
        prefetch,
        ready: () => this.link.writable,
        deliver: (envelope, tag, redelivered) => {
          const out = this.link.start(OP.DELIVER);
          out.varint(id);
          out.varint(tag);
          out.u8(redelivered ? 1 : 0);
          this.link.finish(envelope);
        },
      });
      this.#consumers.set(id, consumer);
    });
  }

  #cancel(reader: BinaryReader): void {
    const request = reader.varint();
    const id = reader.varint();
    reader.end();
    const consumer = this.#consumers.get(id);
    consumer?.cancel();
    if (consumer?.outstanding === 0) this.#consumers.delete(id);
    this.#reply(request);
  }

  #subscribe(reader: BinaryReader): void {
    const request = reader.varint();
    const id = reader.varint();
    const topic = reader.string();
    reader.end();
    this.#answer(request, () => {
      this.#checkRoom(this.#subscriptions, id, 'subscriptions');
      const unsubscribe = this.#context.broker.subscribe(topic, (envelope) => {
        // Topics keep nothing: a subscriber that does not read misses what is said meanwhile.
        if (!this.link.writable) {
          if (this.#dropped++ === 0) logger.warn('a subscriber is too slow, broadcasts to it are dropped', { topic });
          return;
        }
        this.link.start(OP.PUBLISH).varint(id);
        this.link.finish(envelope);
      });
      this.#subscriptions.set(id, unsubscribe);
    });
  }

  #checkRoom(held: ReadonlyMap<number, unknown>, id: number, what: string): void {
    if (held.has(id)) throw transportErrors.BAD_FRAME({ reason: `number ${id} of its ${what} is taken` });
    if (held.size >= MAX_PER_CONNECTION) throw transportErrors.OVERLOADED({ what: `its number of ${what}`, limit: MAX_PER_CONNECTION });
  }

  #answer(request: number, act: () => void): void {
    try {
      act();
    } catch (error) {
      return this.#reply(request, error);
    }
    this.#reply(request);
  }

  #reply(request: number, error?: unknown): void {
    const out = this.link.start(OP.REPLY);
    out.varint(request);
    out.string(error === undefined ? '' : codeOf(error));
    out.string(error === undefined ? '' : (error as Error).message);
    this.link.finish();
  }

  #reject(seq: number, error: unknown): void {
    const out = this.link.start(OP.REJECT);
    out.varint(seq);
    out.string(codeOf(error));
    out.string((error as Error).message);
    this.link.finish();
  }

  /** For the session: a send that waited has found room. */
  confirm(seq: number): void {
    this.#confirm(seq);
  }

  #confirm(seq: number): void {
    this.#confirmed.push(seq);
    this.link.scheduleLate();
  }

  #writeConfirms(): void {
    if (this.#confirmed.length === 0) return;
    const out = this.link.start(OP.CONFIRM);
    out.varint(this.#confirmed.length);
    for (const seq of this.#confirmed) out.varint(seq);
    this.#confirmed = [];
    this.link.finish();
  }

  #end(reason: Error, peer: string): void {
    const expected = SparkProxyError.is(reason) && reason.code === 'SP_TRANSPORT_LOST';
    if (!expected) logger.warn('a connection was closed', { peer, reason: reason.message });
    for (const consumer of this.#consumers.values()) consumer.end();
    for (const unsubscribe of this.#subscriptions.values()) unsubscribe();
    this.#consumers.clear();
    this.#subscriptions.clear();
    if (this.#session !== undefined) this.#context.sessions.release(this.#session, this);
    this.#onClosed(this);
  }
}

function codeOf(error: unknown): string {
  return SparkProxyError.is(error) ? error.code : 'SP_TRANSPORT_REFUSED';
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

async function listen(server: Server, host: string, port: number, url: string): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(transportErrors.LISTEN_FAILED({ url }, error)));
    server.listen({ host, port }, resolve);
  });
  return server.address() as AddressInfo;
}

/**
 * Serves a broker: on a loopback address, unless frames are signed or clients show certificates. The transport returned uses that broker without a socket in between.
 * @throws SP_TRANSPORT_NOT_LOOPBACK, SP_TRANSPORT_LISTEN_FAILED
 */
export async function openHub(host: string, port: number, secure: boolean, settings: TcpSettings): Promise<Transport> {
  const mayBeRemote = settings.allowRemote === true || (secure && settings.tls?.rejectUnauthorized !== false);
  if (!isLoopback(host) && !mayBeRemote) throw transportErrors.NOT_LOOPBACK({ host });
  const broker = new Broker(settings);
  const connections = new Set<HubConnection>();
  const server: Server = secure ? createTlsServer({ noDelay: true, ...tlsServerOptions(settings.tls) }) : createServer({ noDelay: true });
  const scheme = secure ? 'tcps' : 'tcp';
  const address = await listen(server, host, port, `${scheme}://${host}:${port}`);
  if (!isLoopback(address.address) && !mayBeRemote) {
    server.close();
    throw transportErrors.NOT_LOOPBACK({ host: address.address });
  }
  server.unref();
  server.maxConnections = settings.maxConnections;
  const url = `${scheme}://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
  const context: HubContext = { id: newId('hub'), url, broker, sessions: createSessions(settings.clock), settings, clock: settings.clock };
  server.on(secure ? 'secureConnection' : 'connection', (socket: Socket) =>
    connections.add(new HubConnection(socket, context, (connection) => connections.delete(connection))),
  );
  server.on('tlsClientError', (error: Error, socket: Socket) => {
    logger.warn('a connection without a proper certificate was refused', { peer: socket.remoteAddress, reason: error.message });
    socket.destroy();
  });
  server.on('error', (error) => logger.error('the server failed', { error: error.message }));

  return localTransport(broker, {
    url,
    maxFrameBytes: settings.maxFrameBytes,
    async close() {
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.all([...connections].map((connection) => connection.link.end()));
      broker.close(transportErrors.CLOSED({ url }));
      await stopped;
    },
  });
}
