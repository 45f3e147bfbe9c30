import { connect } from 'node:net';
import { envelopeFactory } from '../../src/protocol/batch.ts';
import { decodeTasks, encodeStatus } from '../../src/protocol/messages.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { batchedWriter, frameReader } from './raw-frames.ts';

/** The other process of transport.ts: answers each task with `resultBytes` bytes, through the transport or a bare socket. */
const [mode, address, resultBytesText] = process.argv.slice(2);
const result = new Uint8Array(Number(resultBytesText));

process.on('message', () => process.send?.(process.cpuUsage()));

if (mode === 'transport') {
  const transport = await connectTransport(address ?? '');
  transport.setActive(true);
  const envelope = envelopeFactory('worker-1');
  await transport.consume('worker', { prefetch: 64 }, (delivery) => {
    const tasks = decodeTasks(delivery.envelope.body);
    const updates = tasks.map(({ application, epoch, task }) => ({
      application,
      epoch,
      update: { taskId: task.taskId, state: 'FINISHED' as const, executorId: 'worker-1', data: result },
    }));
    void transport.send('driver', envelope('status', encodeStatus(updates)));
    delivery.ack();
  });
  process.send?.('ready');
} else {
  const socket = connect({ host: '127.0.0.1', port: Number(address), noDelay: true });
  const write = batchedWriter(socket);
  // The first four bytes of a request say how many tasks it stands for.
  socket.on(
    'data',
    frameReader((frame) => write(Buffer.alloc(frame.readUInt32LE(0) * result.length))),
  );
  socket.on('error', () => process.exit());
  socket.once('connect', () => process.send?.('ready'));
}
