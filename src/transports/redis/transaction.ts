import type { Command, Redis } from 'ioredis';
import type { Writable } from 'node:stream';
import { BinaryWriter, writeEnvelopeHeader } from '../../protocol/codec.ts';
import type { Envelope } from '../../protocol/envelope.ts';

/** Larger bodies go to the socket as they are. */
const PART_BYTES = 4096;

const DONE = Promise.resolve();
const MULTI = Buffer.from('*1\r\n$5\r\nMULTI\r\n');
const EXEC = Buffer.from('*1\r\n$4\r\nEXEC\r\n');
const END = Buffer.from('\r\n');
/** Headers of envelopes, and commands; both keep what they finished. */
const headers = new BinaryWriter();
const out = new BinaryWriter();

/** One of the commands of a transaction, as ioredis queues them: all are written by the first. */
class Step {
  readonly name: string;
  readonly args: readonly never[] = [];
  readonly promise = DONE;
  readonly isTraced = true;
  readonly inTransaction = false;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly #write: ((socket: Writable) => Uint8Array) | undefined;

  constructor(name: string, resolve: (reply: unknown) => void, reject: (error: Error) => void, write?: (socket: Writable) => Uint8Array) {
    this.name = name;
    this.resolve = resolve;
    this.reject = reject;
    this.#write = write;
  }

  setReplyContext(): void {
    // Replies stay as they are.
  }

  toWritable(socket: Writable): Uint8Array | string {
    return this.#write?.(socket) ?? '';
  }
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

/** The beginning of each command that adds to a stream. */
export function xaddPrefix(stream: string): Buffer {
  return Buffer.from(`*5\r\n${bulk('XADD')}${bulk(stream)}${bulk('*')}${bulk('e')}`);
}

/** `MULTI`, an `XADD` an envelope, `HSET key field value`, `EXEC`. */
function write(socket: Writable, xadd: Buffer, envelopes: readonly Envelope[], hset: string): Uint8Array {
  socket.cork();
  process.nextTick(() => socket.uncork());
  out.raw(MULTI);
  for (const envelope of envelopes) {
    const { body } = envelope;
    headers.reset();
    writeEnvelopeHeader(headers, envelope);
    const header = headers.finish();
    out.raw(xadd);
    out.raw(Buffer.from(`$${header.length + body.length}\r\n`));
    out.raw(header);
    if (body.length > PART_BYTES) {
      socket.write(out.finish());
      socket.write(body);
    } else out.raw(body);
    out.raw(END);
  }
  out.raw(Buffer.from(hset));
  out.raw(EXEC);
  return out.finish();
}

export interface Addition {
  readonly xadd: Buffer;
  readonly envelopes: readonly Envelope[];
  /** `key` is a hash, whose `field` says what was added last. */
  readonly key: string;
  readonly field: string;
  readonly value: number;
}

/** Adds frames to a stream and notes the number of the last, all or nothing. `done` is told why not. */
export function sendAddition(redis: Redis, { xadd, envelopes, key, field, value }: Addition, done: (error: Error | undefined) => void): void {
  let failure: Error | undefined;
  const failed = (error: Error): void => {
    failure ??= error;
  };
  const queued = (): void => undefined;
  const hset = `*4\r\n${bulk('HSET')}${bulk(key)}${bulk(field)}${bulk(String(value))}`;
  const send = (step: Step): void => void redis.sendCommand(step as unknown as Command);
  send(new Step('multi', queued, failed, (socket) => write(socket, xadd, envelopes, hset)));
  for (let i = envelopes.length; i > 0; i--) send(new Step('xadd', queued, failed));
  send(new Step('hset', queued, failed));
  const executed = (replies: unknown): void => {
    done(failure ?? (Array.isArray(replies) ? replies.find((each): each is Error => each instanceof Error) : new Error('the transaction was not executed')));
  };
  // An error at one of them comes before that of all of them.
  send(
    new Step('exec', executed, (error) => {
      failed(error);
      done(failure);
    }),
  );
}
