import type { OnReadOpts, Socket } from 'node:net';
import type { Clock, Timer } from '../../core/clock.ts';
import { SparkProxyError, errorFromWire } from '../../core/errors.ts';
import { soon } from '../../core/soon.ts';
import { BinaryReader, BinaryWriter, readEnvelope, writeEnvelopeHeader } from '../../protocol/codec.ts';
import type { Envelope } from '../../protocol/envelope.ts';
import { transportErrors } from '../errors.ts';
import { slabReads, unpinned } from '../slab-reads.ts';
import { FRAME_OVERHEAD, FrameParser, OP } from './wire.ts';

export interface LinkOptions {
  /** For messages. */
  readonly url: string;
  readonly maxFrameBytes: number;
  readonly heartbeatMs: number;
  readonly missedBeats: number;
  readonly clock: Clock;
}

export interface LinkHandlers {
  /** One frame, to be read before this returns; what it throws ends the connection, and is told to the peer. */
  frame(op: number, reader: BinaryReader): void;
  /** Last chance to add to what goes out now (acknowledgements saved up). */
  beforeFlush(): void;
  /** The socket took everything that was waiting. */
  drained(): void;
  /** Once, whatever the reason. */
  closed(reason: Error): void;
}

const SLAB_BYTES = 262_144;
/** Output is written when this much is there, else once per turn of the event loop. */
const FLUSH_BYTES = 65_536;
/** Nor does a frame wait longer than this behind others that are dealt with in the same turn, milliseconds: the peer has work meanwhile. */
const FLUSH_MS = 0.1;
/** After so long a silence, milliseconds, the peer waits, it may be: what comes then is written when the callback at work has ended. */
const SILENCE_MS = 0.02;
/** An answer to what was received is written within so many turns: then what has only to be confirmed needs no write of its own. */
const LATE_TURNS = 3;
/** Larger bodies are handed to the socket as they are, smaller ones are copied behind their header. */
const COPY_BODY_BYTES = 16_384;
/** Deliveries pause while more than this waits for the socket. */
const SOFT_BACKLOG_BYTES = 1_048_576;
/** Beyond this (and one largest frame) the peer is not reading: the connection ends. */
const HARD_BACKLOG_BYTES = 16_777_216;
/** A goodbye may take this long. */
const LINGER_MS = 1000;
/** Characters of an error that are told to the peer; it must fit a frame of the handshake. */
const TOLD_CHARACTERS = 1000;

/**
 * One live connection: frames in, frames out in batches, signs of life, and one end.
 *
 * LIFETIME: neither socket nor timers keep the process alive. A peer is dead when `missedBeats` beats in a row passed
 * without a byte from it; beats are counted, not timed, so an event loop that was blocked counts one beat, however long.
 */
export class Link {
  readonly #socket: Socket;
  readonly #options: LinkOptions;
  readonly #handlers: LinkHandlers;
  readonly #parser: FrameParser;
  readonly #writer = new BinaryWriter(SLAB_BYTES);
  readonly #beat: Timer;
  /** Where the frame being written began. */
  #mark = 0;
  #chunks: Uint8Array[] = [];
  #chunkBytes = 0;
  #flushScheduled = false;
  #flushBy = 0;
  #flushedAt = 0;
  /** Turns until what may ride with other frames leaves by itself; 0 when there is no such. */
  #lateTurns = 0;
  #lateScheduled = false;
  #wroteSinceBeat = false;
  #silentBeats = 0;
  /** Parts of the chunk at work are needed longer. */
  #kept = false;
  #ending = false;
  #closed = false;

  /** @param open makes the socket, which may read as it is told */
  constructor(open: (reads: OnReadOpts) => Socket, options: LinkOptions, handlers: LinkHandlers) {
    const received = (chunk: Buffer): boolean => this.#receive(chunk);
    const socket = open(slabReads(received));
    this.#socket = socket;
    this.#options = options;
    this.#handlers = handlers;
    this.#parser = new FrameParser((bytes) => {
      if (this.#closed || this.#ending) return;
      const op = bytes[0] as number;
      if (op !== OP.PING) handlers.frame(op, new BinaryReader(bytes, 1));
    });
    socket.setNoDelay(true);
    socket.unref();
    // Of those that do not.
    socket.on('data', received);
    socket.on('drain', () => handlers.drained());
    socket.on('end', () => this.#close(this.#lost('the peer ended it')));
    socket.on('error', (error) => this.#close(this.#lost(error.message, error)));
    socket.on('close', () => this.#close(this.#lost('it was closed')));
    this.#beat = options.clock.every(options.heartbeatMs, () => this.#onBeat());
  }

  #receive(chunk: Buffer): boolean {
    this.#silentBeats = 0;
    this.#kept = false;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.fail(error as Error);
    }
    return this.#kept;
  }

  /** The rest of a frame. Nothing else of a frame may be kept when its handler returns, unless it is copied. */
  envelope(reader: BinaryReader): Envelope {
    return readEnvelope(reader, this.#own);
  }

  readonly #own = (body: Uint8Array): Uint8Array => {
    const own = unpinned(body);
    if (own === body) this.#kept = true;
    return own;
  };

  /** The handshake is over: frames may have full size. */
  established(): void {
    this.#parser.maxBytes = this.#options.maxFrameBytes + FRAME_OVERHEAD;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Bytes that wait for the socket. */
  get backlog(): number {
    return this.#socket.writableLength + this.#writer.length + this.#chunkBytes;
  }

  /** False while deliveries should pause. */
  get writable(): boolean {
    return !this.#ending && this.backlog < SOFT_BACKLOG_BYTES;
  }

  /** Starts a frame; write its fields to the returned writer, then `finish` it. */
  start(op: number): BinaryWriter {
    this.#mark = this.#writer.length;
    this.#writer.u32(0);
    this.#writer.u8(op);
    return this.#writer;
  }

  /** Ends the frame, with an envelope as its last field if one is given. */
  finish(envelope?: Envelope): void {
    const writer = this.#writer;
    const mark = this.#mark;
    if (envelope === undefined) {
      writer.patchU32(mark, writer.length - mark - 4);
    } else {
      writeEnvelopeHeader(writer, envelope);
      const { body } = envelope;
      writer.patchU32(mark, writer.length - mark - 4 + body.length);
      if (body.length < COPY_BODY_BYTES) {
        writer.raw(body);
      } else {
        this.#cut();
        this.#chunks.push(body);
        this.#chunkBytes += body.length;
      }
    }
    const now = performance.now();
    if (!this.#flushScheduled) {
      this.#flushBy = now + FLUSH_MS;
      this.#schedule(now);
    }
    if (writer.length + this.#chunkBytes >= FLUSH_BYTES || now >= this.#flushBy) {
      this.flush();
      this.#flushBy = now + FLUSH_MS;
    }
  }

  scheduleFlush(): void {
    if (!this.#flushScheduled) this.#schedule(performance.now());
  }

  #schedule(now: number): void {
    if (this.#closed) return;
    this.#flushScheduled = true;
    if (now - this.#flushedAt > SILENCE_MS) soon(this.#flushDue);
    else setImmediate(this.#flushDue);
  }

  readonly #flushDue = (): void => {
    if (!this.#closed && !this.#ending) {
      this.#handlers.beforeFlush();
      this.flush();
    }
    this.#flushScheduled = false;
    this.#lateTurns = 0;
  };

  /** Of what may ride with the next frames (confirms): leaves with them, or by itself a few turns of the event loop later. */
  scheduleLate(): void {
    if (this.#flushScheduled || this.#lateTurns > 0) return;
    this.#lateTurns = LATE_TURNS;
    if (!this.#lateScheduled) this.#waitTurn();
  }

  #waitTurn(): void {
    this.#lateScheduled = true;
    setImmediate(() => {
      this.#lateScheduled = false;
      if (this.#lateTurns === 0) return;
      if (--this.#lateTurns > 0) this.#waitTurn();
      else this.scheduleFlush();
    });
  }

  /** Writes what is there: all of it in one system call. */
  flush(): void {
    this.#cut();
    const chunks = this.#chunks;
    if (chunks.length === 0 || this.#closed) return;
    this.#chunks = [];
    this.#chunkBytes = 0;
    this.#wroteSinceBeat = true;
    this.#flushedAt = performance.now();
    if (chunks.length === 1) {
      this.#socket.write(chunks[0] as Uint8Array);
    } else {
      this.#socket.cork();
      for (const chunk of chunks) this.#socket.write(chunk);
      this.#socket.uncork();
    }
    // The system has taken all of it: what was written from is free.
    if (this.#socket.writableLength === 0) this.#writer.rewind();
    else if (this.#socket.writableLength > HARD_BACKLOG_BYTES + this.#options.maxFrameBytes && !this.#ending) {
      this.destroy(transportErrors.OVERLOADED({ what: 'the output waiting for it', limit: HARD_BACKLOG_BYTES }));
    }
  }

  /** Tells the peer why, and ends. */
  fail(error: Error): void {
    if (this.#closed || this.#ending) return;
    const writer = this.start(OP.ERROR);
    writer.string(SparkProxyError.is(error) ? error.code : 'SP_TRANSPORT_LOST');
    writer.string(error.message.slice(0, TOLD_CHARACTERS));
    this.finish();
    this.flush();
    this.#endSocket();
    this.#close(error);
  }

  /** Ends in good order: what was written arrives. Resolves when the connection is gone. */
  async end(): Promise<void> {
    if (this.#socket.closed) return;
    const gone = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    if (!this.#closed && !this.#ending) {
      this.#handlers.beforeFlush();
      this.flush();
      this.#endSocket();
    }
    await gone;
  }

  /** Ends at once. */
  destroy(reason: Error): void {
    this.#socket.destroy();
    this.#close(reason);
  }

  #endSocket(): void {
    this.#ending = true;
    const linger = this.#options.clock.after(LINGER_MS, () => this.#socket.destroy(), { background: true });
    this.#socket.once('close', () => linger.cancel());
    this.#socket.end();
  }

  /** Moves what the writer holds to the list of chunks. */
  #cut(): void {
    if (this.#writer.length === 0) return;
    // A socket makes a Buffer of what is none.
    const bytes = this.#writer.finishBuffer();
    this.#chunks.push(bytes);
    this.#chunkBytes += bytes.length;
  }

  #onBeat(): void {
    if (this.#closed) return;
    if (++this.#silentBeats > this.#options.missedBeats) {
      this.destroy(this.#lost(`no sign of life for ${this.#options.missedBeats} beats of ${this.#options.heartbeatMs} ms`));
      return;
    }
    if (!this.#wroteSinceBeat && !this.#ending) {
      this.start(OP.PING);
      this.finish();
      this.flush();
    }
    this.#wroteSinceBeat = false;
  }

  #lost(reason: string, cause?: unknown): Error {
    return transportErrors.LOST({ url: this.#options.url, reason }, cause);
  }

  #close(reason: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#beat.cancel();
    // Nothing more is read; what was written still leaves.
    if (!this.#ending && !this.#socket.destroyed) this.#endSocket();
    this.#handlers.closed(reason);
  }
}

/** Code and message of the peer's ERROR, REJECT or REPLY. */
export function readError(reader: BinaryReader): Error {
  const code = reader.string();
  return errorFromWire({ name: 'SparkProxyError', code, message: reader.string() });
}
