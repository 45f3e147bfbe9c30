/** One external executor that runs as a child of this worker. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { EMPTY_BYTES, type TaskDescription } from '../protocol/task.ts';
import { restore } from './differences.ts';
import { sparkErrors } from './errors.ts';
import type { BlobSource } from '../worker/contract.ts';
import type { ExecutorCommand } from './executor-command.ts';
import { FRAME, FrameWriter, type FrameReader } from './frames.ts';
import type { LinkHandler, LinkPeer } from './link-server.ts';

interface RunningTask {
  readonly task: TaskDescription;
  readonly resolve: (result: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

export interface ExecutorProcessOptions {
  readonly executorId: string;
  readonly application: string;
  readonly command: ExecutorCommand;
  readonly directory: string;
  readonly clock: Clock;
  /** The process has ended; `expected`: it was asked to. Told once. */
  readonly onExit: (expected: boolean, why: string) => void;
}

/** How long an executor may take to end when asked, or without its link, milliseconds. */
const STOP_MS = 5000;
const TAIL_BYTES = 4096;

/** Tasks end by what the executor says of them, or with the process. */
export class ExecutorProcess implements LinkHandler {
  readonly executorId: string;
  readonly application: string;
  readonly ended: Promise<void>;
  readonly #options: ExecutorProcessOptions;
  readonly #child: ChildProcess;
  readonly #running = new Map<number, RunningTask>();
  #peer: LinkPeer | undefined;
  #stopping = false;
  #gone = false;

  constructor(options: ExecutorProcessOptions) {
    const { executorId, application, command, directory } = options;
    this.executorId = executorId;
    this.application = application;
    this.#options = options;
    mkdirSync(directory, { recursive: true });
    const [stdout, stderr] = [openSync(join(directory, 'stdout'), 'a'), openSync(join(directory, 'stderr'), 'a')];
    try {
      this.#child = spawn(command.program, command.args, { cwd: directory, env: command.env, stdio: ['ignore', stdout, stderr] });
    } finally {
      closeSync(stdout);
      closeSync(stderr);
    }
    this.ended = new Promise((resolve) => {
      const end = (why: string): void => {
        if (this.#gone) return;
        this.#gone = true;
        this.#peer?.close();
        for (const { task, reject } of this.#running.values()) reject(sparkErrors.EXECUTOR_ENDED({ executor: executorId, name: task.name }));
        this.#running.clear();
        options.onExit(this.#stopping, why);
        resolve();
      };
      this.#child.once('error', (error) => end(error.message));
      this.#child.once('exit', (code, signal) => end(`it ended with ${signal ?? `code ${code}`}`));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get tasks(): number {
    return this.#running.size;
  }

  get usable(): boolean {
    return this.#peer !== undefined && !this.#stopping && !this.#gone;
  }

  /** The last of what it wrote to standard error. */
  tail(): string {
    try {
      const file = openSync(join(this.#options.directory, 'stderr'), 'r');
      try {
        const { size } = fstatSync(file);
        const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
        readSync(file, bytes, 0, bytes.length, size - bytes.length);
        return bytes.toString('utf8');
      } finally {
        closeSync(file);
      }
    } catch {
      return '';
    }
  }

  linked(peer: LinkPeer): void {
    this.#peer?.close();
    this.#peer = peer;
    if (this.#stopping) peer.send(new FrameWriter(FRAME.stop));
  }

  run(task: TaskDescription, blobs: BlobSource): Promise<Uint8Array> {
    const peer = this.#peer;
    if (peer === undefined || !this.usable) return Promise.reject(sparkErrors.EXECUTOR_GONE({ executor: this.executorId, name: task.name }));
    return new Promise((resolve, reject) => {
      const [base] = task.commons;
      const bytes = base === undefined ? task.payload : restore(blobs(base), task.payload);
      this.#running.set(task.taskId, { task, resolve, reject });
      peer.send(new FrameWriter(FRAME.run, bytes.length + 1).raw(bytes));
    });
  }

  /** Resolves when the process has ended. */
  async stop(): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      this.#peer?.send(new FrameWriter(FRAME.stop));
      if (this.#peer === undefined) this.#child.kill('SIGTERM');
      this.#killLater();
    }
    await this.ended;
  }

  frame(type: number, reader: FrameReader): void {
    if (type !== FRAME.status) return;
    const taskId = reader.u64();
    const state = reader.string();
    const running = this.#running.get(taskId);
    if (running === undefined || state === 'RUNNING' || state === 'LAUNCHING') return;
    this.#running.delete(taskId);
    if (state === 'FINISHED') running.resolve(EMPTY_BYTES);
    else running.reject(sparkErrors.TASK_FAILED({ name: running.task.name, state, executor: this.executorId }));
  }

  /** It ends by itself, or it has already; its tasks end with it. */
  closed(): void {
    this.#peer = undefined;
    this.#killLater();
  }

  #killLater(): void {
    const timer = this.#options.clock.after(STOP_MS, () => this.#child.kill('SIGKILL'), { background: true });
    void this.ended.then(() => timer.cancel());
  }
}
