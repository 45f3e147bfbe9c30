/** The other end of floor.ts: a thread or a process that sends back what it is sent. */
import { connect } from 'node:net';
import { parentPort } from 'node:worker_threads';

if (parentPort === null) {
  const socket = connect({ host: '127.0.0.1', port: Number(process.argv[2]), noDelay: true });
  socket.on('data', (chunk) => socket.write(chunk));
  socket.on('error', () => process.exit());
  socket.on('close', () => process.exit());
} else {
  const port = parentPort;
  port.on('message', (message: unknown) => port.postMessage(message));
}
