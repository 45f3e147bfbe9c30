/** The other end of floor.ts: a thread or a process that sends back what it is sent; with `thread`, a process by way of a thread of its own. */
import { connect } from 'node:net';
import { parentPort, Worker } from 'node:worker_threads';

if (parentPort === null) {
  const [tcpPort, by] = process.argv.slice(2);
  const socket = connect({ host: '127.0.0.1', port: Number(tcpPort), noDelay: true });
  if (by === 'thread') {
    const worker = new Worker(new URL(import.meta.url));
    worker.on('message', (chunk: Uint8Array) => socket.write(chunk));
    // Copied: the chunk is a view of a pool.
    socket.on('data', (chunk) => worker.postMessage(new Uint8Array(chunk)));
  } else socket.on('data', (chunk) => socket.write(chunk));
  socket.on('error', () => process.exit());
  socket.on('close', () => process.exit());
} else {
  const port = parentPort;
  port.on('message', (message: unknown) => port.postMessage(message));
}
