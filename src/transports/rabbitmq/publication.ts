import type { ConfirmChannel } from 'amqplib';
import type { Socket } from 'node:net';
import { EMPTY_BYTES } from '../../protocol/task.ts';

/** Of AMQP 0-9-1: 2.3.5 frames, 1.8.3.7 basic.publish, 4.2.6 content headers. */
const FRAME_METHOD = 1;
const FRAME_HEADER = 2;
const FRAME_BODY = 3;
const FRAME_END = 0xce;
/** Type, channel, size. */
const FRAME_START_BYTES = 7;
const FRAME_BYTES = FRAME_START_BYTES + 1;
const BASIC = 60;
const PUBLISH = 40;
const MANDATORY = 1;
const HAS_HEADERS = 0x2000;
const HAS_DELIVERY_MODE = 0x1000;
const HAS_MESSAGE_ID = 0x80;
const PERSISTENT = 2;
/** Class, weight, size of the content, flags. */
const PROPERTIES_START_BYTES = 14;
/** Smaller bodies are copied: a write of its own costs as much. */
const COPIED_BYTES = 4096;
const END = Buffer.of(FRAME_END);

/** What of amqplib's channel is used beneath its interface. */
interface ChannelInternals {
  readonly ch: number;
  readonly connection: { readonly stream: Socket; readonly frameMax: number; sentSinceLastCheck: boolean };
  pushConfirmCallback(confirmed: (error: unknown) => void): void;
}

/** A persistent, mandatory message. Its content is in two parts. */
export interface Publication {
  readonly messageId: string;
  readonly headers: Readonly<Record<string, string | number>> | undefined;
  readonly head: Uint8Array;
  readonly body: Uint8Array;
}

/**
 * Writes messages to queues, through the default exchange, onto a channel that is used for nothing else: amqplib would copy each
 * body twice, and send method, header and body through two streams each.
 */
export class PublicationWriter {
  readonly #channel: ChannelInternals;

  constructor(channel: ConfirmChannel) {
    this.#channel = channel as unknown as ChannelInternals;
  }

  /** Everything before the header of a message to this queue. */
  method(queue: string): Buffer {
    const name = Buffer.from(queue);
    const frame = Buffer.alloc(FRAME_BYTES + 9 + name.length);
    let at = this.#start(frame, 0, FRAME_METHOD, frame.length - FRAME_BYTES);
    at = frame.writeUInt16BE(BASIC, at);
    at = frame.writeUInt16BE(PUBLISH, at);
    // A ticket that is no longer used, and the default exchange, whose name is empty.
    at += 3;
    at = frame.writeUInt8(name.length, at);
    at += name.copy(frame, at);
    at = frame.writeUInt8(MANDATORY, at);
    frame.writeUInt8(FRAME_END, at);
    return frame;
  }

  /** @param confirmed called by amqplib with null, or with an error */
  write(method: Buffer, publication: Publication, confirmed: (error: unknown) => void): void {
    const { connection } = this.#channel;
    const { stream, frameMax } = connection;
    const { messageId, headers } = publication;
    let { head, body } = publication;
    if (head.length > frameMax - FRAME_BYTES) [head, body] = [EMPTY_BYTES, Buffer.concat([head, body])];
    const bytes = head.length + body.length;
    const table = headers === undefined ? undefined : encodeTable(headers);
    const propertyBytes = PROPERTIES_START_BYTES + (table?.length ?? 0) + 1 + 1 + messageId.length;
    const most = Math.min(bytes, frameMax - FRAME_BYTES);
    const copied = body.length <= COPIED_BYTES && bytes === most ? body.length + 1 : 0;
    const start = Buffer.allocUnsafe(method.length + FRAME_BYTES + propertyBytes + FRAME_START_BYTES + head.length + copied);
    let at = method.copy(start, 0);
    at = this.#start(start, at, FRAME_HEADER, propertyBytes);
    at = start.writeUInt16BE(BASIC, at);
    at = start.writeUInt16BE(0, at);
    at = start.writeUInt32BE(0, at);
    at = start.writeUInt32BE(bytes, at);
    at = start.writeUInt16BE(HAS_DELIVERY_MODE | HAS_MESSAGE_ID | (table === undefined ? 0 : HAS_HEADERS), at);
    if (table !== undefined) at += table.copy(start, at);
    at = start.writeUInt8(PERSISTENT, at);
    at = start.writeUInt8(messageId.length, at);
    at += start.write(messageId, at, 'latin1');
    at = start.writeUInt8(FRAME_END, at);
    at = this.#start(start, at, FRAME_BODY, most);
    start.set(head, at);
    if (copied > 0) {
      start.set(body, at + head.length);
      start[start.length - 1] = FRAME_END;
      stream.write(start);
    } else {
      stream.write(start);
      let sent = most - head.length;
      stream.write(body.subarray(0, sent));
      while (sent < body.length) {
        const piece = body.subarray(sent, sent + frameMax - FRAME_BYTES);
        sent += piece.length;
        const between = Buffer.allocUnsafe(FRAME_BYTES);
        between[0] = FRAME_END;
        this.#start(between, 1, FRAME_BODY, piece.length);
        stream.write(between);
        stream.write(piece);
      }
      stream.write(END);
    }
    connection.sentSinceLastCheck = true;
    this.#channel.pushConfirmCallback(confirmed);
  }

  #start(frame: Buffer, offset: number, type: number, bytes: number): number {
    let at = frame.writeUInt8(type, offset);
    at = frame.writeUInt16BE(this.#channel.ch, at);
    return frame.writeUInt32BE(bytes, at);
  }
}

/** A field table of short strings and whole numbers. */
function encodeTable(fields: Readonly<Record<string, string | number>>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(fields)) {
    parts.push(Buffer.of(name.length), Buffer.from(name, 'latin1'));
    const field = typeof value === 'string' ? Buffer.from(`S....${value}`, 'latin1') : Buffer.from('l........');
    if (typeof value === 'string') field.writeUInt32BE(value.length, 1);
    else field.writeBigInt64BE(BigInt(value), 1);
    parts.push(field);
  }
  const table = Buffer.concat([Buffer.alloc(4), ...parts]);
  table.writeUInt32BE(table.length - 4);
  return table;
}
