import { connect, type Socket } from 'node:net';
import { BinaryReader, BinaryWriter, encodeEnvelope } from '../../src/protocol/codec.ts';
import type { Envelope } from '../../src/protocol/envelope.ts';
import { FrameParser, OP, WIRE_MAGIC, WIRE_VERSION } from '../../src/transports/tcp/wire.ts';
import { Inbox } from '../conformance/transport.ts';

export interface RawFrame {
  readonly op: number;
  readonly reader: BinaryReader;
}

/** Speaks the wire protocol as badly as a test wants. */
export interface RawClient {
  readonly socket: Socket;
  readonly frames: Inbox<RawFrame>;
  /** Resolves when the peer has ended the connection. */
  readonly closed: Promise<void>;
  write(op: number, fields?: (out: BinaryWriter) => void): void;
  hello(session?: string, version?: number, maxFrameBytes?: number): void;
  send(seq: number, queue: string, envelope: Envelope): void;
  /** Code of the ERROR the peer sent before it closed. */
  errorCode(): Promise<string>;
  close(): Promise<void>;
}

export async function rawClient(url: string): Promise<RawClient> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  const frames = new Inbox<RawFrame>();
  const parser = new FrameParser((bytes) => {
    if (bytes[0] !== OP.PING) frames.push({ op: bytes[0]!, reader: new BinaryReader(bytes.subarray(1)) });
  });
  parser.maxBytes = 0xffff_ffff;
  socket.on('data', (chunk: Buffer) => parser.push(chunk));
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  const write: RawClient['write'] = (op, fields) => {
    const out = new BinaryWriter(1024);
    out.u32(0);
    out.u8(op);
    fields?.(out);
    out.patchU32(0, out.length - 4);
    socket.write(out.finish());
  };
  return {
    socket,
    frames,
    closed,
    write,
    hello(session = `raw-${Math.random()}`, version = WIRE_VERSION, maxFrameBytes = 67_108_864) {
      write(OP.HELLO, (out) => {
        out.u32(WIRE_MAGIC);
        out.varint(version);
        out.string(session);
        out.varint(maxFrameBytes);
      });
    },
    send(seq, queue, envelope) {
      write(OP.SEND, (out) => {
        out.varint(seq);
        out.string(queue);
        out.raw(encodeEnvelope(envelope));
      });
    },
    async errorCode() {
      await closed;
      return frames.items.find((frame) => frame.op === OP.ERROR)?.reader.string() ?? 'none';
    },
    async close() {
      socket.destroy();
      await closed;
    },
  };
}
