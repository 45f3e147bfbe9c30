/**
 * Records and logs of runs, a file each below `<home>/runs`, so that several processes share a home without a server.
 * A record is replaced as a whole (rename), and written by the process that runs it; others leave `<run>.stop` to ask for its end.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorToWire, SparkProxyError } from '../core/errors.ts';
import { createLogger } from '../core/logger.ts';
import type { RunCause, RunRecord } from './contract.ts';
import { PROGRAM_ERRORS } from './errors.ts';

const logger = createLogger('program-records');

/** Looked at also without news from the system: some file systems send none. */
const LOOK_MS = 1000;

export function hasEnded({ state }: Pick<RunRecord, 'state'>): boolean {
  return state === 'COMPLETED' || state === 'KILLED' || state === 'FAILED';
}

export function causeOf(error: unknown): RunCause {
  const wire = errorToWire(error);
  const code = SparkProxyError.is(error) ? error.code : undefined;
  return { name: wire.name, message: wire.message, ...(code === undefined ? {} : { code }), ...(wire.stack === undefined ? {} : { stack: wire.stack }) };
}

/** When a process began, in ticks of its system; 0 where that is not told; undefined: there is none. */
export function processStart(pid: number): number | undefined {
  try {
    // After the name, which may hold anything, in parentheses: field 22 of proc(5).
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    try {
      process.kill(pid, 0);
      return 0;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM' ? 0 : undefined;
    }
  }
}

export class RunRecords {
  readonly #directory: string;

  constructor(home: string) {
    this.#directory = join(home, 'runs');
    mkdirSync(this.#directory, { recursive: true });
  }

  logPath(runId: string): string {
    return join(this.#directory, `${runId}.log`);
  }

  #recordPath(runId: string): string {
    return join(this.#directory, `${runId}.json`);
  }

  #stopPath(runId: string): string {
    return join(this.#directory, `${runId}.stop`);
  }

  write(record: RunRecord): void {
    const path = this.#recordPath(record.runId);
    writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`);
    renameSync(`${path}.new`, path);
    if (hasEnded(record)) rmSync(this.#stopPath(record.runId), { force: true });
  }

  /** A run whose process is gone has failed. */
  get(runId: string): RunRecord | undefined {
    const path = this.#recordPath(runId);
    let record: RunRecord;
    try {
      record = JSON.parse(readFileSync(path, 'utf8')) as RunRecord;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      logger.warn(PROGRAM_ERRORS.BAD_RECORD({ path, reason: (error as Error).message }, error).message);
      return undefined;
    }
    if (hasEnded(record) || processStart(record.pid) === record.pidStart) return record;
    const { pid, state } = record;
    return { ...record, state: 'FAILED', cause: causeOf(PROGRAM_ERRORS.PROCESS_GONE({ pid, runId, state })) };
  }

  /** Newest first. */
  list(program?: string): RunRecord[] {
    const ids = readdirSync(this.#directory).flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : []));
    const records = ids.flatMap((id) => this.get(id) ?? []);
    return records.filter((record) => program === undefined || record.program === program).sort((a, b) => b.startTime - a.startTime);
  }

  /** Of the ended runs only the newest are kept, with their logs. */
  prune(keep: number): void {
    for (const { runId } of this.list().filter(hasEnded).slice(keep)) {
      for (const path of [this.#recordPath(runId), this.logPath(runId), this.#stopPath(runId)]) rmSync(path, { force: true });
    }
  }

  requestStop(runId: string, reason: string): void {
    writeFileSync(this.#stopPath(runId), reason);
  }

  /** The reason, when somebody has asked for the end of the run. */
  stopRequest(runId: string): string | undefined {
    const path = this.#stopPath(runId);
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  }

  /** Calls `look` whenever something may have changed here. */
  watch(look: () => void): () => void {
    const watcher = watch(this.#directory, { persistent: false }, look);
    watcher.on('error', (error) => logger.debug('no news from the file system', { error: error.message }));
    const timer = setInterval(look, LOOK_MS).unref();
    return () => {
      watcher.close();
      clearInterval(timer);
    };
  }
}
