import type { Socket } from 'node:net';

/** The floor: length-prefixed frames on a bare socket, written once per turn of the event loop. */
export function batchedWriter(socket: Socket): (frame: Buffer) => void {
  let corked = false;
  return (frame) => {
    if (!corked) {
      corked = true;
      socket.cork();
      setImmediate(() => {
        corked = false;
        socket.uncork();
      });
    }
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(frame.length);
    socket.write(length);
    socket.write(frame);
  };
}

export function frameReader(onFrame: (frame: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (data.length >= 4 && data.length >= 4 + data.readUInt32LE(0)) {
      const end = 4 + data.readUInt32LE(0);
      onFrame(data.subarray(4, end));
      data = data.subarray(end);
    }
    rest = data;
  };
}
