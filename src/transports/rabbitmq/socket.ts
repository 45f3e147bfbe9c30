import type { ChannelModel } from 'amqplib';
import type { Socket } from 'node:net';

/** What of amqplib's connection is used beneath its interface. */
interface ConnectionInternals {
  readonly stream: Socket;
  readonly heartbeater: { readonly sendTimer: NodeJS.Timeout; readonly recvTimer: NodeJS.Timeout } | null;
  /** Bytes that came and were not yet read. */
  rest: Buffer;
  recvSinceLastCheck: boolean;
  /** The next frame, or false. */
  recvFrame(): object | false;
}

/** Type, channel, size; and the end. */
const START_BYTES = 7;
const END_BYTES = 1;

export function internalsOf(model: ChannelModel): ConnectionInternals {
  return model.connection as unknown as ConnectionInternals;
}

/**
 * What is written in one go (each method, header and piece of a body by itself) leaves as one write: most of the processor time
 * of a small frame would go into system calls.
 */
export function writeTogether({ stream }: ConnectionInternals): void {
  const write = stream.write.bind(stream) as (...args: readonly unknown[]) => boolean;
  let corked = false;
  stream.write = (...args: readonly unknown[]) => {
    if (!corked) {
      corked = true;
      stream.cork();
      process.nextTick(() => {
        corked = false;
        stream.uncork();
      });
    }
    return write(...args);
  };
}

/** amqplib would join all that comes in with what is left of a frame: only the frame that came in two pieces is joined. */
export function readInPlace(connection: ConnectionInternals): void {
  const receive = connection.recvFrame.bind(connection);
  connection.recvFrame = () => {
    const { rest } = connection;
    const missing = rest.length < START_BYTES ? undefined : START_BYTES + rest.readUInt32BE(3) + END_BYTES - rest.length;
    if (missing !== undefined && missing <= 0) return receive();
    const incoming = connection.stream.read() as Buffer | null;
    if (incoming === null) return false;
    connection.recvSinceLastCheck = true;
    if (rest.length === 0 || missing === undefined || incoming.length < missing) {
      connection.rest = rest.length === 0 ? incoming : Buffer.concat([rest, incoming]);
      return receive();
    }
    connection.rest = Buffer.concat([rest, incoming.subarray(0, missing)]);
    const frame = receive();
    connection.rest = incoming.subarray(missing);
    return frame;
  };
}
