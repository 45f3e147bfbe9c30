/**
 * Runner threads of one process: the `js` TaskRunner of a worker, and the embedded engine's own executor.
 * Threads are started when first needed. Each holds at most `queueDepth` tasks, so that it never waits for its next one.
 * OWNERSHIP: a thread belongs to its pool; a deadline, a kill or a full heap ends the thread, its waiting tasks move on.
 */
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { AllowedModules } from '../closure/index.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { systemClock } from '../core/clock.ts';
import { errorFromWire, type SparkProxyError } from '../core/errors.ts';
import type { TaskDescription } from '../protocol/task.ts';
import type { Certificates } from '../core/certificates.ts';
import type { BlockLocation } from '../shuffle/block-location.ts';
import { BlockManager } from './block-manager.ts';
import { TASK_ERRORS } from './errors.ts';
import { QueueDepth } from './queue-depth.ts';
import { cpuTimeOf, heapLimitOf, limitsIn, MemoryWatch, NO_LIMITS, type ThreadLimits } from './thread-limits.ts';
import { applicationDirectory } from './task-runtime.ts';
import { threadEnvironment } from './thread-environment.ts';
import {
  CommonsSlots,
  messagesOf,
  packTasks,
  post,
  unpackResults,
  type FromThread,
  type ThreadResult,
  type ThreadOptions,
  type ThreadTask,
  type ToThread,
} from './thread-messages.ts';

export { limitsOf } from './thread-limits.ts';

export interface ThreadPoolOptions extends Partial<ThreadLimits> {
  readonly executorId: string;
  /** Directory for shuffle files; one directory an application is made below it. */
  readonly localDir: string;
  /** Threads, each running one task at a time. */
  readonly threads: number;
  /** Most tasks a thread holds, running and waiting, however short they are. @defaultValue 128 */
  readonly queueDepth?: number;
  /** Name of this machine: shuffle files of executors of the same name are opened by path. @defaultValue hostname() */
  readonly machine?: string;
  /** The block server that gives this executor's shuffle files to other machines. */
  readonly location?: BlockLocation | undefined;
  readonly tls?: Certificates | undefined;
  /** The programs of its tasks were loaded on this machine: their modules are at their own paths. @defaultValue false */
  readonly ownFiles?: boolean;
  /** Modules whose functions tasks may use. @defaultValue everything, also functions that travel as code */
  readonly allowed?: AllowedModules;
  /** @defaultValue systemClock */
  readonly clock?: Clock;
}

/** CPU time is looked at no more often than this, milliseconds. */
const CPU_STEP_MS = 50;

/** A thread that holds so many bytes of payloads is given no more, but for a few tasks. */
const MAX_HELD_BYTES = 4_194_304;
const FEW = 16;

/** Blobs a thread keeps; the oldest go first and are sent again when needed. */
const MAX_THREAD_BLOBS = 256;

interface Job {
  /** Unique in this pool: task ids are unique in their application only. */
  readonly sequence: number;
  readonly task: TaskDescription;
  readonly bytesOf: (hash: string) => Uint8Array;
  readonly resolve: (data: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  /** Sent and not ended; the first one is running. */
  readonly jobs: Job[];
  /** Payloads of these. */
  bytes: number;
  readonly blobs: Set<string>;
  outbox: ToThread[];
  /** Tasks for the next message, and the slots of their commons; they come last in it. */
  tasks: ThreadTask[];
  slots: number[];
  readonly commons: CommonsSlots;
  /** It has loaded its code: deadlines count from here, not from the start of the thread. */
  ready: boolean;
  deadline: Timer | undefined;
  /** Looks whether its running task has used up its CPU time. */
  cpu: Timer | undefined;
  /** Why the pool is ending it, for the running task's error. */
  ending: Error | undefined;
}

function stopTimers(thread: Thread): void {
  thread.deadline?.cancel();
  thread.deadline = undefined;
  thread.cpu?.cancel();
  thread.cpu = undefined;
}

export class ThreadPool {
  readonly kind = 'js';
  /** Tasks it wants at a time: more while tasks are short. */
  get capacity(): number {
    return this.#options.threads * this.#depth.any;
  }

  runMs({ commons }: TaskDescription): number | undefined {
    return this.#depth.meanMs(commons[0] as string);
  }

  readonly #options: Required<Omit<ThreadPoolOptions, keyof ThreadLimits>>;
  readonly #limits: ThreadLimits;
  readonly #memory: MemoryWatch<Thread>;
  readonly #threads: Thread[] = [];
  readonly #waiting: Job[] = [];
  #waitingHead = 0;
  readonly #sharedBlobs = new Map<string, Uint8Array>();
  readonly #blocks: BlockManager;
  #flushScheduled = false;
  #closed = false;
  #active = false;
  #sequence = 0;
  #idle: (() => void) | undefined;
  readonly #depth: QueueDepth;

  constructor(options: ThreadPoolOptions) {
    this.#options = {
      queueDepth: 128,
      machine: hostname(),
      location: undefined,
      tls: undefined,
      ownFiles: false,
      allowed: undefined,
      clock: systemClock,
      ...options,
    };
    this.#depth = new QueueDepth(this.#options.queueDepth);
    this.#limits = { ...NO_LIMITS, ...limitsIn(options) };
    this.#memory = new MemoryWatch(this.#limits, {
      clock: this.#options.clock,
      busy: () => this.#threads.filter((thread) => thread.jobs.length > 0 && thread.ready),
      heapFull: (thread, limitMb) => this.#end(thread, 0, TASK_ERRORS.OUT_OF_MEMORY({ taskId: thread.jobs[0]?.task.taskId, limitMb })),
      processFull: (thread, residentMb, limitMb) =>
        this.#end(thread, 0, TASK_ERRORS.PROCESS_MEMORY({ taskId: thread.jobs[0]?.task.taskId, residentMb, limitMb })),
    });
    this.#blocks = new BlockManager(this.#limits.storageBytes, (id) => this.#broadcast({ dropBlock: id }));
  }

  /** Takes effect with the next task; the heap limit with the next thread, so idle threads are started anew. */
  setLimits(limits: ThreadLimits): void {
    const heapChanged = limits.threadMemoryMb !== this.#limits.threadMemoryMb;
    Object.assign(this.#limits, limits);
    this.#blocks.setCapacity(limits.storageBytes);
    this.#memory.setActive(this.#active, true);
    if (heapChanged) this.#retireIdle();
  }

  #retireIdle(): void {
    for (const thread of this.#threads.filter((one) => one.jobs.length === 0)) {
      this.#threads.splice(this.#threads.indexOf(thread), 1);
      void thread.worker.terminate();
    }
  }

  onIdle(listener: () => void): void {
    this.#idle = listener;
  }

  /** Runs one attempt; rejects with the task's error, SP_TASK_TIMEOUT, SP_TASK_OUT_OF_MEMORY, SP_TASK_KILLED or SP_TASK_THREAD_DIED. */
  run(task: TaskDescription, bytesOf: (hash: string) => Uint8Array): Promise<Uint8Array> {
    if (this.#closed) return Promise.reject(TASK_ERRORS.RUNNER_CLOSED({ taskId: task.taskId }));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ sequence: ++this.#sequence, task, bytesOf, resolve, reject });
      this.#schedule();
    });
  }

  /** Ends a task that `run` was given: a waiting one is dropped, a running one loses its thread. Others are ignored. */
  kill(task: TaskDescription, reason: string): void {
    const error = TASK_ERRORS.KILLED({ taskId: task.taskId, reason });
    for (let i = this.#waitingHead; i < this.#waiting.length; i++) {
      if ((this.#waiting[i] as Job).task !== task) continue;
      this.#waiting.splice(i, 1)[0]?.reject(error);
      return;
    }
    for (const thread of this.#threads) {
      const at = thread.jobs.findIndex((job) => job.task === task);
      if (at >= 0) return this.#end(thread, at, error);
    }
  }

  dropBlocks(prefix: string): void {
    this.#blocks.drop(prefix);
  }

  /** Forgets an application: its cached partitions and its files. */
  async applicationEnded(application: string): Promise<void> {
    this.#blocks.drop(`${application}/`);
    await rm(applicationDirectory(this.#options.localDir, application), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#memory.stop();
    for (const job of this.#waiting.splice(0).slice(this.#waitingHead)) job.reject(TASK_ERRORS.RUNNER_CLOSED({ taskId: job.task.taskId }));
    this.#waitingHead = 0;
    const threads = this.#threads.splice(0);
    for (const thread of threads) {
      stopTimers(thread);
      for (const job of thread.jobs.splice(0)) job.reject(TASK_ERRORS.RUNNER_CLOSED({ taskId: job.task.taskId }));
    }
    await Promise.all(threads.map((thread) => thread.worker.terminate()));
  }

  /** What comes in one turn of the event loop shares a message; the first task after a silence does not wait for the others. */
  #schedule(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    const assign = (): void => {
      this.#flushScheduled = false;
      this.#assign();
    };
    if (this.#active) setImmediate(assign);
    else queueMicrotask(assign);
  }

  /** Hands waiting tasks to the threads with the fewest, then posts one message a thread. */
  #assign(): void {
    if (this.#closed) return;
    while (this.#waitingHead < this.#waiting.length) {
      const job = this.#waiting[this.#waitingHead] as Job;
      const thread = this.#roomFor(job);
      if (thread === undefined) break;
      this.#waitingHead++;
      try {
        this.#give(thread, job);
      } catch (error) {
        // A blob of an attempt that is no longer wanted may have been released while the task waited.
        job.reject(error as Error);
      }
    }
    if (this.#waitingHead > 1024 || this.#waitingHead === this.#waiting.length) {
      this.#waiting.splice(0, this.#waitingHead);
      this.#waitingHead = 0;
    }
    for (const thread of this.#threads) this.#flush(thread);
    this.#rest();
  }

  #rest(): void {
    this.#setActive(this.#waiting.length > 0 || this.#threads.some((thread) => thread.jobs.length > 0));
  }

  /** The least busy thread, if it may have one more. */
  #roomFor({ task }: Job): Thread | undefined {
    let best: Thread | undefined;
    for (const thread of this.#threads) {
      if (thread.ending === undefined && (best === undefined || thread.jobs.length < best.jobs.length)) best = thread;
    }
    if ((best === undefined || best.jobs.length > 0) && this.#threads.length < this.#options.threads) best = this.#start();
    if (best === undefined || (best.jobs.length >= FEW && best.bytes >= MAX_HELD_BYTES)) return undefined;
    return best.jobs.length < this.#depth.of(task.commons[0] as string) ? best : undefined;
  }

  #give(thread: Thread, job: Job): void {
    const { task } = job;
    for (const hash of task.commons) {
      if (thread.blobs.has(hash)) continue;
      thread.outbox.push({ blob: { hash, bytes: this.#shared(hash, job.bytesOf) } });
      thread.blobs.add(hash);
    }
    if (thread.blobs.size > MAX_THREAD_BLOBS) this.#evict(thread, task.commons);
    thread.jobs.push(job);
    thread.bytes += task.payload.length;
    if (thread.jobs.length === 1) this.#startDeadline(thread);
    const { taskId, attemptNumber, stageId, stageAttemptNumber, commons, payload } = task;
    thread.tasks.push({ sequence: job.sequence, taskId, attemptNumber, stageId, stageAttemptNumber, commons, payload });
    thread.slots.push(thread.commons.of(commons, (message) => thread.outbox.push(message)));
  }

  /** Blobs no task of the thread needs now are dropped, oldest first. */
  #evict(thread: Thread, keep: readonly string[]): void {
    const needed = new Set([...keep, ...thread.jobs.flatMap((job) => job.task.commons)]);
    for (const hash of thread.blobs) {
      if (thread.blobs.size <= MAX_THREAD_BLOBS / 2) break;
      if (needed.has(hash)) continue;
      thread.blobs.delete(hash);
      thread.outbox.push({ dropBlob: hash });
      if (!this.#threads.some((other) => other.blobs.has(hash))) this.#sharedBlobs.delete(hash);
    }
  }

  /** One copy of a blob in shared memory for all threads. */
  #shared(hash: string, bytesOf: (hash: string) => Uint8Array): Uint8Array {
    let shared = this.#sharedBlobs.get(hash);
    if (shared === undefined) {
      const bytes = bytesOf(hash);
      shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
      shared.set(bytes);
      this.#sharedBlobs.set(hash, shared);
    }
    return shared;
  }

  #flush(thread: Thread): void {
    if (thread.tasks.length > 0) thread.outbox.push(packTasks(thread.tasks, thread.slots));
    if (thread.outbox.length === 0) return;
    const messages = thread.outbox;
    thread.outbox = [];
    thread.tasks = [];
    thread.slots = [];
    post(thread.worker, messages);
  }

  #broadcast(message: ToThread): void {
    for (const thread of this.#threads) thread.outbox.push(message);
    this.#schedule();
  }

  #start(): Thread {
    const { executorId, localDir, machine, location, tls, ownFiles, allowed } = this.#options;
    const { env, added } = threadEnvironment();
    const options: ThreadOptions = { executorId, localDir, machine, location, tls, ownFiles, allowed, added };
    const worker = new Worker(new URL(`./thread-main${extname(import.meta.url)}`, import.meta.url), {
      workerData: options,
      name: `spark-proxy-${executorId}`,
      execArgv: [],
      env,
      ...heapLimitOf(this.#limits),
    });
    const thread: Thread = {
      ...{ worker, jobs: [], bytes: 0, blobs: new Set(), outbox: [], tasks: [], slots: [], commons: new CommonsSlots() },
      ...{ ready: false, deadline: undefined, cpu: undefined, ending: undefined },
    };
    if (!this.#active) worker.unref();
    for (const [id, bytes] of this.#blocks.entries()) thread.outbox.push({ block: { id, bytes } });
    worker.on('message', (posted: FromThread | readonly FromThread[]) => this.#received(thread, messagesOf(posted)));
    worker.on('error', (error) => this.#died(thread, error));
    worker.on('exit', (code) => this.#died(thread, new Error(`exit code ${code}`)));
    this.#threads.push(thread);
    return thread;
  }

  #received(thread: Thread, messages: readonly FromThread[]): void {
    for (const message of messages) {
      if (message instanceof ArrayBuffer) {
        this.#finished(thread, unpackResults(message));
        continue;
      }
      if ('ready' in message) {
        thread.ready = true;
        this.#startDeadline(thread);
        continue;
      }
      if ('block' in message) {
        const { id, bytes } = message.block;
        if (!this.#blocks.put(id, bytes)) continue;
        for (const other of this.#threads) if (other !== thread) other.outbox.push({ block: { id, bytes } });
        continue;
      }
      this.#ended(thread, message.sequence, message.runMs)?.reject(errorFromWire(message.error));
    }
    if (thread.deadline === undefined) this.#startDeadline(thread);
    // Nothing to hand out, and no thread to tell: no turn of the event loop is needed to see that.
    if (this.#waiting.length > 0 || this.#threads.some(({ outbox }) => outbox.length > 0)) this.#schedule();
    else this.#rest();
  }

  /** Tasks end in the order they were sent, so that those of a batch are taken from the head at once. */
  #finished(thread: Thread, results: readonly ThreadResult[]): void {
    const { jobs } = thread;
    let taken = 0;
    for (; taken < results.length; taken++) {
      const { sequence, runMs, data } = results[taken] as ThreadResult;
      const job = jobs[taken];
      if (job?.sequence !== sequence) break;
      this.#took(thread, job, runMs);
      job.resolve(data);
    }
    if (taken > 0) {
      stopTimers(thread);
      jobs.splice(0, taken);
    }
    for (const { sequence, runMs, data } of results.slice(taken)) this.#ended(thread, sequence, runMs)?.resolve(data);
  }

  #took(thread: Thread, { task }: Job, runMs: number): void {
    thread.bytes -= task.payload.length;
    this.#depth.learn(task.commons[0] as string, runMs);
  }

  /** Takes an ended job from its thread, if it is still there. */
  #ended(thread: Thread, sequence: number, runMs: number): Job | undefined {
    const at = thread.jobs.findIndex((job) => job.sequence === sequence);
    if (at < 0) return undefined;
    stopTimers(thread);
    const [job] = thread.jobs.splice(at, 1) as [Job];
    this.#took(thread, job, runMs);
    return job;
  }

  /** The deadline of the task at the head; it runs from when the one before it ended. */
  #startDeadline(thread: Thread): void {
    stopTimers(thread);
    const head = thread.jobs[0];
    if (head === undefined || !thread.ready || thread.ending !== undefined) return;
    if (this.#limits.cpuMs > 0) void this.#limitCpu(thread, head, this.#limits.cpuMs);
    if (head.task.timeoutMs <= 0) return;
    const { taskId, timeoutMs } = head.task;
    thread.deadline = this.#options.clock.after(timeoutMs, () => this.#end(thread, 0, TASK_ERRORS.TIMEOUT({ taskId, timeoutMs })), { background: true });
  }

  /** Looks again when the task could have used up the rest; one thread's CPU time never runs faster than the clock. */
  async #limitCpu(thread: Thread, head: Job, limitMs: number): Promise<void> {
    const isRunning = (): boolean => thread.jobs[0] === head && thread.ending === undefined;
    const began = await cpuTimeOf(thread.worker);
    let used = 0;
    while (isRunning() && used < limitMs) {
      const rest = Math.max(CPU_STEP_MS, limitMs - used);
      await new Promise<void>((resolve) => {
        thread.cpu = this.#options.clock.after(rest, resolve, { background: true });
      });
      if (isRunning()) used = (await cpuTimeOf(thread.worker)) - began;
    }
    if (isRunning()) this.#end(thread, 0, TASK_ERRORS.CPU_LIMIT({ taskId: head.task.taskId, limitMs }));
  }

  /** Ends the job at `at`; JavaScript cannot be interrupted, so a running one takes its thread along. */
  #end(thread: Thread, at: number, error: Error): void {
    const [job] = thread.jobs.splice(at, 1) as [Job];
    job.reject(error);
    thread.ending = error;
    void thread.worker.terminate();
    this.#died(thread, error);
  }

  #died(thread: Thread, reason: Error): void {
    const at = this.#threads.indexOf(thread);
    if (at < 0) return;
    this.#threads.splice(at, 1);
    stopTimers(thread);
    const jobs = thread.jobs.splice(0);
    // The head was running; those behind it had not begun and move to another thread.
    if (thread.ending === undefined) {
      const head = jobs.shift();
      head?.reject(this.#deathOf(head.task, reason));
    }
    this.#waiting.splice(this.#waitingHead, 0, ...jobs);
    this.#schedule();
  }

  #deathOf(task: TaskDescription, reason: Error): SparkProxyError {
    if ((reason as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY') {
      return TASK_ERRORS.OUT_OF_MEMORY({ taskId: task.taskId, limitMb: this.#limits.threadMemoryMb || 'V8 default' }, reason);
    }
    return TASK_ERRORS.THREAD_DIED({ taskId: task.taskId, reason: reason.message }, reason);
  }

  /** Idle threads do not keep the process alive. */
  #setActive(active: boolean): void {
    if (active === this.#active) return;
    this.#active = active;
    if (!active) this.#idle?.();
    this.#memory.setActive(active);
    for (const { worker } of this.#threads) {
      if (active) worker.ref();
      else worker.unref();
    }
  }
}
