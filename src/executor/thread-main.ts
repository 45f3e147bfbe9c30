/**
 * The body of a runner thread. Messages from the pool come in order: blobs and blocks before the tasks that need them.
 * ORDERING: tasks run one after another in the order they came; the pool relies on it for deadlines.
 */
import { parentPort, receiveMessageOnPort, threadId, workerData } from 'node:worker_threads';
import { installForExecutor } from '../closure/index.ts';
import { errorToWire } from '../core/errors.ts';
import { BlockClient } from '../shuffle/block-client.ts';
import { markTaskThread } from '../storage/task-context.ts';
import { ThreadBlocks } from '../storage/thread-blocks.ts';
import { runTask, StageCache } from './run-task.ts';
import {
  messagesOf,
  packResults,
  post,
  unpackTasks,
  type FromThread,
  type ThreadOptions,
  type ThreadResult,
  type ThreadTask,
  type ToThread,
} from './thread-messages.ts';

const port = parentPort;
if (port === null) throw new Error('thread-main runs only as a worker thread');
const options = workerData as ThreadOptions;

for (const name of options.added) delete process.env[name];
installForExecutor();
markTaskThread();

const blobs = new Map<string, Uint8Array>();
const blocks = new ThreadBlocks((id, bytes) => send({ block: { id, bytes } }));
const cache = new StageCache();
const { executorId, localDir, machine, location, tls, ownFiles, allowed } = options;
const client = new BlockClient(tls === undefined ? {} : { tls });
const runTag = `${executorId.replace(/[^\w-]/g, '_')}-${threadId}`;
const environment = { executorId, runTag, localDir, machine, location, client, ownFiles, allowed, blobs, blocks };
/** By slot. */
const commons: (readonly string[])[] = [];
let queue: ThreadTask[] = [];
/** The next one of `queue`. */
let next = 0;
let running = false;
/** Of the task that ran last. */
let stage = '';
let runMs = 0;

/** Results of tasks shorter than this, milliseconds, wait for the next task of their stage, so that they share a message. */
const SHORT_MS = 0.2;
/** Tasks taken from the queue before it is cut, so that a thread that is never idle keeps no old ones. */
const MAX_TAKEN = 256;
/** Results that wait at most. */
const MAX_WAITING = 64;
let outbox: FromThread[] = [];
let results: ThreadResult[] = [];

function flush(): void {
  if (results.length > 0) outbox.push(packResults(results));
  if (outbox.length === 0) return;
  const messages = outbox;
  outbox = [];
  results = [];
  if (port !== null) post(port, messages);
}

function send(message: FromThread): void {
  outbox.push(message);
}

async function drain(): Promise<void> {
  running = true;
  // What came meanwhile is run before the rest is said, so that its results share the message.
  while (next < queue.length || takeArrived()) {
    if (next >= MAX_TAKEN) {
      queue.splice(0, next);
      next = 0;
    }
    const task = queue[next++] as ThreadTask;
    // While a task runs nothing can be sent: what is done must not wait for one that may be long.
    if (runMs >= SHORT_MS || task.commons[0] !== stage || results.length >= MAX_WAITING) flush();
    const { sequence } = task;
    const started = performance.now();
    try {
      const result = runTask(task, environment, cache);
      // Tasks that wait for nothing follow one another without a turn between them.
      const data = result instanceof Promise ? await result : result;
      runMs = performance.now() - started;
      results.push({ sequence, runMs, data });
    } catch (error) {
      runMs = performance.now() - started;
      send({ sequence, runMs, error: errorToWire(error) });
    }
    stage = task.commons[0] as string;
  }
  queue = [];
  next = 0;
  running = false;
  flush();
}

/** Takes messages that wait to be heard; false: there is nothing to run in them. */
function takeArrived(): boolean {
  for (let arrived = receive(); arrived !== undefined; arrived = receive()) take(arrived.message);
  return next < queue.length;
}

function receive(): { readonly message: ToThread | readonly ToThread[] } | undefined {
  return port === null ? undefined : receiveMessageOnPort(port);
}

function take(posted: ToThread | readonly ToThread[]): void {
  for (const message of messagesOf(posted)) {
    if (message instanceof ArrayBuffer) for (const task of unpackTasks(message, commons)) queue.push(task);
    else if ('commons' in message) commons[message.slot] = message.commons;
    else if ('blob' in message) blobs.set(message.blob.hash, message.blob.bytes);
    else if ('dropBlob' in message) {
      blobs.delete(message.dropBlob);
      cache.drop(message.dropBlob);
    } else if ('block' in message) blocks.add(message.block.id, message.block.bytes);
    else blocks.drop(message.dropBlock);
  }
}

port.on('message', (posted: ToThread | readonly ToThread[]) => {
  take(posted);
  if (!running && next < queue.length) void drain();
});

send({ ready: true });
flush();
