import { Command } from 'ioredis';
import type { Writable } from 'node:stream';

/** Smaller arguments are copied together: a part of its own costs as much as copying this. */
const PART_BYTES = 4096;

/**
 * A command whose large arguments go to the socket as they are, without being copied into one buffer first: that copy, and
 * collecting it as garbage, is a good part of what a frame costs. All commands of a turn of the event loop are one write.
 */
export class PartsCommand extends Command {
  override toWritable(socket: Writable): string | Buffer {
    if (!this.args.some((arg) => typeof arg === 'object' && arg.length > PART_BYTES)) return super.toWritable(socket);
    socket.cork();
    process.nextTick(() => socket.uncork());
    const small: Buffer[] = [];
    let text = `*${this.args.length + 1}\r\n$${this.name.length}\r\n${this.name}\r\n`;
    for (const arg of this.args as (string | Buffer)[]) {
      text += `$${typeof arg === 'string' ? Buffer.byteLength(arg) : arg.length}\r\n`;
      if (typeof arg === 'string') text += `${arg}\r\n`;
      else {
        small.push(Buffer.from(text));
        text = '\r\n';
        if (arg.length > PART_BYTES) {
          socket.write(Buffer.concat(small.splice(0)));
          socket.write(arg);
        } else small.push(arg);
      }
    }
    small.push(Buffer.from(text));
    return Buffer.concat(small);
  }
}
