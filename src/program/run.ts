/** One run, as its runtime sees it: the thread, the record, the log, and the end by force. */
import { createWriteStream, type WriteStream } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { systemClock, type Timer } from '../core/clock.ts';
import { environmentName } from '../core/config.ts';
import { makeTemporaryDirectory, removeTemporaryDirectory } from '../core/temporary.ts';
import type { ProgramRun, RunCause, RunRecord, EndState, StartOptions, TokenValues } from './contract.ts';
import type { Engine } from './engine.ts';
import { PROGRAM_ERRORS } from './errors.ts';
import { causeOf, hasEnded, type RunRecords } from './records.ts';
import type { FromProgram, ThreadData, ToProgram } from './thread-messages.ts';

export interface RunOptions {
  readonly record: RunRecord;
  readonly records: RunRecords;
  readonly engine: Engine;
  readonly data: ThreadData;
  readonly options: StartOptions;
  readonly graceMs: number;
  /** What the program writes goes to this process' output too. */
  readonly echo: boolean;
  readonly onChange: (record: RunRecord) => void;
}

interface End {
  readonly state: EndState;
  readonly cause?: RunCause;
  readonly token?: TokenValues;
}

export class Run implements ProgramRun {
  readonly runId: string;
  readonly ended: Promise<RunRecord>;
  record: RunRecord;
  readonly #options: RunOptions;
  readonly #worker: Worker;
  readonly #log: WriteStream;
  readonly #localDir: string;
  #resolve: (record: RunRecord) => void = () => undefined;
  #stopped = false;
  #forced: Timer | undefined;
  #end: End | undefined;

  constructor(options: RunOptions) {
    this.#options = options;
    this.runId = options.record.runId;
    this.record = options.record;
    this.ended = new Promise((resolve) => (this.#resolve = resolve));
    const { engine, data, records } = options;
    // Removed here: a thread that is ended by force removes nothing.
    this.#localDir = makeTemporaryDirectory(undefined, 'spark-proxy-run');
    const settings = { 'spark.local.dir': this.#localDir, ...options.options.conf, 'run.id': this.runId };
    const env: NodeJS.ProcessEnv = { ...process.env };
    for (const [key, value] of Object.entries(settings)) env[environmentName(key)] = value;
    this.#log = createWriteStream(records.logPath(this.runId), { flags: 'a' });
    this.#save({});
    this.#worker = new Worker(new URL(engine.thread), {
      workerData: data,
      execArgv: ['--import', engine.register],
      env,
      stdout: true,
      stderr: true,
      name: data.file,
    });
    for (const stream of ['stdout', 'stderr'] as const) {
      this.#worker[stream].pipe(this.#log, { end: false });
      if (options.echo) this.#worker[stream].pipe(process[stream], { end: false });
    }
    this.#worker.on('message', (message: FromProgram) => this.#hear(message));
    this.#worker.on('error', (error) => {
      this.#log.write(`${(error as Error).stack ?? String(error)}\n`);
      if (options.echo) process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
      this.#end ??= this.#stopped ? { state: 'KILLED' } : { state: 'FAILED', cause: causeOf(error) };
    });
    this.#worker.on('exit', (code) => void this.#exited(code));
  }

  stop(reason = 'stop was asked for'): Promise<RunRecord> {
    if (this.#stopped || hasEnded(this.record)) return this.ended;
    this.#stopped = true;
    this.#worker.postMessage({ type: 'stop', reason } satisfies ToProgram);
    const { graceMs } = this.#options;
    this.#forced = systemClock.after(graceMs, () => {
      this.#end ??= { state: 'KILLED', cause: causeOf(PROGRAM_ERRORS.STOP_TIMEOUT({ runId: this.runId, graceMs })) };
      void this.#worker.terminate();
    });
    return this.ended;
  }

  #hear(message: FromProgram): void {
    if (message.type === 'program') this.#save({ kind: message.kind, program: this.#options.options.name ?? message.name });
    else if (message.type === 'running') this.#save({ state: 'RUNNING' });
    else this.#end ??= message;
  }

  async #exited(code: number): Promise<void> {
    this.#forced?.cancel();
    const { runId } = this;
    const died = (reason: string): End => ({ state: 'FAILED', cause: causeOf(PROGRAM_ERRORS.DIED({ reason, runId })) });
    const end = this.#end ?? (this.#stopped ? { state: 'KILLED' as const } : code === 0 ? { state: 'COMPLETED' as const } : died(`exit code ${code}`));
    await removeTemporaryDirectory(this.#localDir);
    await new Promise<void>((resolve) => this.#log.end(() => resolve()));
    this.#save({
      state: end.state,
      endTime: systemClock.wallTime(),
      ...(end.cause === undefined ? {} : { cause: end.cause }),
      ...(end.token === undefined ? {} : { token: end.token }),
    });
    this.#resolve(this.record);
  }

  #save(change: Partial<RunRecord>): void {
    this.record = { ...this.record, ...change };
    this.#options.records.write(this.record);
    this.#options.onChange(this.record);
  }
}
