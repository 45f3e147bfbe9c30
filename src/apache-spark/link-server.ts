/** The listening side of the agent link: in the dispatcher for drivers, in a worker for its executors. */
import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { systemClock, type Clock, type Timer } from '../core/clock.ts';
import { SparkProxyError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { sparkErrors } from './errors.ts';
import { FRAME, FrameReader, FrameSeal, FrameWriter, type LinkKey, LINK_MAGIC, LINK_VERSION, MAX_FRAME_BYTES, MAX_HELLO_BYTES, NONCE_BYTES } from './frames.ts';

/** An agent that has said who it is. */
export interface LinkPeer {
  readonly hello: ReadonlyMap<string, string>;
  readonly remote: string;
  /** Frames of one turn of the event loop leave in one write. */
  send(frame: FrameWriter): void;
  close(): void;
}

export interface LinkHandler {
  frame(type: number, reader: FrameReader): void;
  closed(): void;
}

export interface LinkServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** With keys, the other side proves one of them and every frame is sealed with it. Asked anew for each connection. */
  readonly keys?: (() => readonly LinkKey[]) | undefined;
  readonly logger: Logger;
  /** @defaultValue systemClock */
  readonly clock?: Clock;
  /** Somebody has said who it is: what it is welcomed with, and who hears its frames. What it throws is the refusal. */
  accept(peer: LinkPeer): { readonly welcome: Readonly<Record<string, string>>; readonly handler: LinkHandler };
}

export interface LinkServer {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

const PING_MS = 2000;
/** Silence after which a peer is gone; it answers each ping. A driver in a long garbage collection is silent for seconds. */
const SILENCE_MS = 15_000;
const HELLO_MS = 10_000;
/** Connections that have not said who they are. */
const MAX_STRANGERS = 256;

/** @throws SP_SPARK_LISTEN_FAILED */
export async function startLinkServer(options: LinkServerOptions): Promise<LinkServer> {
  const peers = new Set<Connection>();
  let strangers = 0;
  const server: Server = createServer((socket) => {
    if (strangers >= MAX_STRANGERS) {
      socket.destroy();
      return;
    }
    strangers++;
    const connection = new Connection(socket, options, () => strangers--);
    peers.add(connection);
    socket.once('close', () => peers.delete(connection));
  });
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error): void => reject(sparkErrors.LISTEN_FAILED({ host: options.host, port: options.port, reason: cause.message }, cause));
    server.once('error', fail);
    server.listen(options.port, options.host, () => {
      server.removeListener('error', fail);
      resolve();
    });
  });
  server.on('error', (error) => options.logger.warn('the agent link', { error: error.message }));
  return {
    host: options.host,
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const peer of peers) peer.close();
      await closed;
    },
  };
}

class Connection implements LinkPeer {
  hello: ReadonlyMap<string, string> = new Map();
  readonly remote: string;
  readonly #socket: Socket;
  readonly #options: LinkServerOptions;
  readonly #nonce = randomBytes(NONCE_BYTES);
  readonly #timers: Timer[] = [];
  #chunks: Buffer[] = [];
  #have = 0;
  /** Bytes of the frame that is awaited; -1: its length is. */
  #need = -1;
  #incoming: FrameSeal | undefined;
  #outgoing: FrameSeal | undefined;
  #agentNonce: Buffer | undefined;
  #handler: LinkHandler | undefined;
  #lastHeard: number;
  #corked = false;
  /** What is said to it while it is being accepted: the welcome goes first. */
  #early: FrameWriter[] | undefined;
  #known: (() => void) | undefined;

  constructor(socket: Socket, options: LinkServerOptions, known: () => void) {
    this.#socket = socket;
    this.#options = options;
    this.#known = known;
    this.remote = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    const clock = options.clock ?? systemClock;
    this.#lastHeard = clock.now();
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#lastHeard = clock.now();
      this.#receive(chunk);
    });
    socket.on('error', (error) => options.logger.debug('the agent link', { remote: this.remote, error: error.message }));
    socket.once('close', () => {
      for (const timer of this.#timers) timer.cancel();
      this.#leaveStrangers();
      this.#handler?.closed();
      this.#handler = undefined;
    });
    this.#timers.push(clock.after(HELLO_MS, () => this.#handler === undefined && this.close(), { background: true }));
    this.#timers.push(
      clock.every(PING_MS, () => {
        if (this.#handler === undefined) return;
        if (clock.now() - this.#lastHeard > SILENCE_MS) {
          options.logger.warn('an agent is silent; its link is closed', { remote: this.remote });
          this.close();
        } else this.send(new FrameWriter(FRAME.ping, 1));
      }),
    );
    const challenge = new FrameWriter(FRAME.challenge).raw(Buffer.from(LINK_MAGIC, 'ascii')).u8(LINK_VERSION);
    this.send(challenge.u8(options.keys === undefined ? 0 : 1).raw(this.#nonce));
  }

  #leaveStrangers(): void {
    this.#known?.();
    this.#known = undefined;
  }

  send(frame: FrameWriter): void {
    if (this.#early === undefined) this.#write(frame);
    else this.#early.push(frame);
  }

  #write(frame: FrameWriter): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    const body = this.#outgoing?.seal(frame.finish()) ?? frame.finish();
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      setImmediate(() => {
        this.#corked = false;
        socket.uncork();
      });
    }
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(body.length);
    socket.write(length);
    socket.write(body);
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#have += chunk.length;
    try {
      while (!this.#socket.destroyed) {
        if (this.#need < 0) {
          if (this.#have < 4) return;
          this.#need = this.#take(4).readUInt32BE();
          const limit = this.#handler === undefined ? MAX_HELLO_BYTES : MAX_FRAME_BYTES;
          if (this.#need < 1 || this.#need > limit) throw sparkErrors.MALFORMED_FRAME({ reason: `it says that it has ${this.#need} bytes` });
        }
        if (this.#have < this.#need) return;
        const frame = this.#take(this.#need);
        this.#need = -1;
        this.#frame(frame);
      }
    } catch (error) {
      this.#options.logger.warn('an agent link was closed', { remote: this.remote, error: (error as Error).message });
      this.close();
    }
  }

  /** The first bytes of what has arrived; copied only where they lie in several chunks. */
  #take(bytes: number): Buffer {
    this.#have -= bytes;
    const first = this.#chunks[0] as Buffer;
    if (first.length >= bytes) {
      if (first.length === bytes) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(bytes);
      return first.subarray(0, bytes);
    }
    const all = Buffer.concat(this.#chunks);
    this.#chunks = all.length === bytes ? [] : [all.subarray(bytes)];
    return all.subarray(0, bytes);
  }

  #frame(frame: Buffer): void {
    if (this.#agentNonce === undefined) return this.#meet(frame);
    if (this.#handler === undefined) return this.#greet(this.#openHello(frame, this.#agentNonce));
    const body = this.#incoming === undefined ? frame : this.#incoming.open(frame);
    if (body === undefined) throw sparkErrors.LINK_REFUSED({ remote: this.remote, reason: 'a frame is not sealed with the key of this side' });
    const type = body[0] as number;
    if (type !== FRAME.pong) this.#handler.frame(type, new FrameReader(body, 1));
  }

  #meet(frame: Buffer): void {
    if (frame[0] !== FRAME.nonce) throw sparkErrors.MALFORMED_FRAME({ reason: 'it is no nonce' });
    this.#agentNonce = Buffer.from(new FrameReader(frame, 1).raw(NONCE_BYTES));
  }

  /** With the key it is sealed with everything is from now on. */
  #openHello(frame: Buffer, nonce: Buffer): Buffer {
    const { keys } = this.#options;
    if (keys === undefined) return frame;
    for (const key of keys()) {
      const incoming = new FrameSeal(key, this.#nonce, nonce, 'c');
      const body = incoming.open(frame);
      if (body === undefined) continue;
      this.#incoming = incoming;
      this.#outgoing = new FrameSeal(key, this.#nonce, nonce, 's');
      return body;
    }
    throw sparkErrors.LINK_REFUSED({ remote: this.remote, reason: 'its hello is not sealed with a key of this side' });
  }

  #greet(body: Buffer): void {
    if (body[0] !== FRAME.hello) throw sparkErrors.MALFORMED_FRAME({ reason: 'it is no hello' });
    const hello = new FrameReader(body, 1).map();
    // A secret that came in the clear is not used: everyone may have read it.
    if (this.#incoming === undefined) hello.delete('authSecret');
    this.hello = hello;
    const early: FrameWriter[] = (this.#early = []);
    try {
      const { welcome, handler } = this.#options.accept(this);
      this.#early = undefined;
      this.#handler = handler;
      this.send(new FrameWriter(FRAME.welcome).map(welcome));
      for (const one of early) this.send(one);
      this.#leaveStrangers();
    } catch (error) {
      this.#early = undefined;
      const reason = SparkProxyError.is(error) ? error.message : 'a defect in the dispatcher';
      this.send(new FrameWriter(FRAME.refused).string(reason));
      this.#options.logger.warn('an agent was refused', { remote: this.remote, error: (error as Error).message });
      setImmediate(() => this.#socket.end());
    }
  }
}
