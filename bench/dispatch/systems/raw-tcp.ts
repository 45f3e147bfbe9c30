import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { batchedWriter, frameReader } from '../raw-frames.ts';
import { PAYLOAD_BYTES, RESULT_BYTES, type System } from './contract.ts';

/** Length-prefixed frames on a bare socket, written once per turn of the event loop. The first four bytes of a request say how many tasks it stands for. */
export const rawTcp: System = {
  async client(spec, onDone, startWorker) {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = String((server.address() as AddressInfo).port);
    const [[socket]] = (await Promise.all([once(server, 'connection'), startWorker({ ...spec, address })])) as unknown as [[Socket]];
    const write = batchedWriter(socket);
    socket.on(
      'data',
      frameReader((frame) => onDone(frame.length / RESULT_BYTES)),
    );
    return {
      submit(tasks) {
        const request = Buffer.alloc(PAYLOAD_BYTES * tasks);
        request.writeUInt32LE(tasks, 0);
        write(request);
      },
      async close() {
        socket.destroy();
        server.close();
      },
    };
  },
  async worker({ address }) {
    const socket = connect({ host: '127.0.0.1', port: Number(address), noDelay: true });
    const write = batchedWriter(socket);
    socket.on(
      'data',
      frameReader((frame) => write(Buffer.alloc(frame.readUInt32LE(0) * RESULT_BYTES))),
    );
    await once(socket, 'connect');
  },
};
