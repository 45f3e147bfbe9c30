import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { PAYLOAD_BYTES, RESULT_BYTES, type System } from './contract.ts';

/** Posts what is given in one turn of the event loop as one message. */
function batchedPoster(post: (frames: Uint8Array[]) => void): (frame: Uint8Array) => void {
  let waiting: Uint8Array[] = [];
  return (frame) => {
    if (waiting.length === 0)
      setImmediate(() => {
        const all = waiting;
        waiting = [];
        post(all);
      });
    waiting.push(frame);
  };
}

/** Frames between two threads of a process by bare postMessage, which copies them. */
export const rawThreads: System = {
  async client(_, onDone) {
    const thread = new Worker(new URL(import.meta.url));
    const write = batchedPoster((frames) => thread.postMessage(frames));
    thread.on('message', (frames: Uint8Array[]) => {
      for (const frame of frames) onDone(frame.length / RESULT_BYTES);
    });
    return {
      submit: (tasks) => write(new Uint8Array(PAYLOAD_BYTES * tasks)),
      close: async () => void (await thread.terminate()),
    };
  },
  async worker() {
    const port = parentPort!;
    const write = batchedPoster((frames) => port.postMessage(frames));
    port.on('message', (frames: Uint8Array[]) => {
      for (const frame of frames) write(new Uint8Array((frame.length / PAYLOAD_BYTES) * RESULT_BYTES));
    });
  },
};

if (!isMainThread) await rawThreads.worker({ system: 'raw-threads', address: '', frame: 1, key: '' });
