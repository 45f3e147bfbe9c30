/**
 * The body of a runner thread. Messages from the pool come in order: blobs and blocks before the tasks that need them.
 * ORDERING: tasks run one after another in the order they came; the pool relies on it for deadlines.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { installForExecutor } from '../closure/index.ts';
import { errorToWire } from '../core/errors.ts';
import { ThreadBlocks } from '../storage/thread-blocks.ts';
import { runTask, StageCache } from './run-task.ts';
import { packResults, unpackTasks, type FromThread, type ThreadOptions, type ThreadResult, type ThreadTask, type ToThread } from './thread-messages.ts';

const port = parentPort;
if (port === null) throw new Error('thread-main runs only as a worker thread');
const options = workerData as ThreadOptions;

installForExecutor();

const blobs = new Map<string, Uint8Array>();
const blocks = new ThreadBlocks((id, bytes) => send({ block: { id, bytes } }));
const cache = new StageCache();
const environment = { executorId: options.executorId, localDir: options.localDir, blobs, blocks };
const queue: ThreadTask[] = [];
let running = false;

/** Results wait for each other at most this long, so that short tasks share a message. */
const FLUSH_MS = 1;
let outbox: FromThread[] = [];
let results: ThreadResult[] = [];
let lastFlush = 0;

function flush(): void {
  if (results.length > 0) outbox.push({ results: packResults(results) });
  if (outbox.length === 0) return;
  const messages = outbox;
  outbox = [];
  results = [];
  lastFlush = performance.now();
  port?.postMessage(messages);
}

function send(message: FromThread): void {
  outbox.push(message);
}

async function drain(): Promise<void> {
  running = true;
  for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
    const { sequence } = task;
    const started = performance.now();
    try {
      const data = await runTask(task, environment, cache);
      results.push({ sequence, runMs: performance.now() - started, data });
    } catch (error) {
      send({ sequence, runMs: performance.now() - started, error: errorToWire(error) });
    }
    if (performance.now() - lastFlush >= FLUSH_MS) flush();
  }
  running = false;
  flush();
}

port.on('message', (messages: ToThread[]) => {
  for (const message of messages) {
    if ('tasks' in message) queue.push(...unpackTasks(message.tasks));
    else if ('blob' in message) blobs.set(message.blob.hash, message.blob.bytes);
    else if ('dropBlob' in message) {
      blobs.delete(message.dropBlob);
      cache.drop(message.dropBlob);
    } else if ('block' in message) blocks.add(message.block.id, message.block.bytes);
    else blocks.drop(message.dropBlock);
  }
  if (!running && queue.length > 0) void drain();
});

send({ ready: true });
flush();
