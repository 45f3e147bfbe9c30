import { basename } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { loadConfiguration, type Configuration } from '../core/config.ts';
import { newId } from '../core/ids.ts';
import { createLogger } from '../core/logger.ts';
import type { ProgramRun, ProgramRuntime, RunRecord, StartOptions, TokenValues, Trigger } from './contract.ts';
import { engineOf, parseProgram } from './engine.ts';
import { PROGRAM_ERRORS } from './errors.ts';
import { hasEnded, processStart, RunRecords } from './records.ts';
import { Run } from './run.ts';

const logger = createLogger('program-runtime');

export interface RuntimeOptions {
  /** Where records and logs are kept. @defaultValue program.home */
  readonly home?: string;
  /** What programs write goes to this process' output too. @defaultValue false */
  readonly echo?: boolean;
  readonly configuration?: Configuration;
}

/** What else starts a run. */
export interface StartedBy {
  readonly workflow?: { readonly runId: string; readonly node: string };
  readonly token?: TokenValues;
  readonly triggeredBy?: string;
}

interface ActiveTrigger {
  readonly trigger: Trigger;
  /** Ended runs that it has been asked about, or that are older than it. */
  readonly seen: Set<string>;
}

/** Runs any number of programs at once, a thread each, and keeps their records. */
export function createRuntime(options: RuntimeOptions = {}): Runtime {
  return new Runtime(options);
}

export class Runtime implements ProgramRuntime {
  readonly home: string;
  readonly #records: RunRecords;
  readonly #graceMs: number;
  readonly #echo: boolean;
  readonly #active = new Map<string, Run>();
  readonly #triggers = new Set<ActiveTrigger>();
  readonly #unwatch: () => void;
  #closed = false;

  constructor({ home, echo = false, configuration = loadConfiguration({}) }: RuntimeOptions) {
    this.home = home ?? configuration.get('program.home');
    this.#echo = echo;
    this.#graceMs = configuration.get('program.stop.grace');
    this.#records = new RunRecords(this.home);
    this.#records.prune(configuration.get('program.runs.kept'));
    this.#unwatch = this.#records.watch(() => this.#look());
  }

  start(program: string, options: StartOptions = {}): ProgramRun {
    return this.startBy(program, options, {});
  }

  startBy(program: string, options: StartOptions, by: StartedBy): ProgramRun {
    if (this.#closed) throw PROGRAM_ERRORS.RUNTIME_CLOSED();
    const { file, wanted } = parseProgram(program);
    const engine = engineOf(file);
    const runId = newId('run');
    const startTime = systemClock.wallTime();
    const given = options.arguments ?? {};
    const record: RunRecord = {
      runId,
      kind: 'program',
      program: options.name ?? wanted ?? basename(file).replace(/\.[cm]?[jt]s$/, ''),
      file,
      state: 'STARTING',
      startTime,
      pid: process.pid,
      pidStart: processStart(process.pid) ?? 0,
      engine: engine.version,
      arguments: given,
      ...(by.workflow === undefined ? {} : { workflow: by.workflow }),
      ...(by.triggeredBy === undefined ? {} : { triggeredBy: by.triggeredBy }),
    };
    const data = {
      sparkProxyProgram: 1 as const,
      ...{ runId, home: this.home, file, startTime, args: options.args ?? [], arguments: given },
      ...(wanted === undefined ? {} : { wanted }),
      ...(by.workflow === undefined ? {} : { node: by.workflow.node, token: by.token ?? {} }),
    };
    const run = new Run({
      ...{ record, records: this.#records, engine, data, options },
      graceMs: this.#graceMs,
      echo: this.#echo,
      onChange: (changed) => this.#changed(changed),
    });
    this.#active.set(runId, run);
    return run;
  }

  active(): readonly ProgramRun[] {
    return [...this.#active.values()];
  }

  runs(program?: string): RunRecord[] {
    return this.#records.list(program);
  }

  logPath(runId: string): string {
    return this.#records.logPath(runId);
  }

  addTrigger(trigger: Trigger): () => void {
    parseProgram(trigger.start.file);
    const active = {
      trigger,
      seen: new Set(
        this.#records
          .list(trigger.program)
          .filter(hasEnded)
          .map((record) => record.runId),
      ),
    };
    this.#triggers.add(active);
    return () => void this.#triggers.delete(active);
  }

  async stop(runId: string, reason = 'stop was asked for'): Promise<void> {
    const own = this.#active.get(runId);
    if (own !== undefined) {
      await own.stop(reason);
      return;
    }
    const record = this.#records.get(runId);
    if (record === undefined) throw PROGRAM_ERRORS.NO_SUCH_RUN({ run: runId });
    if (hasEnded(record)) throw PROGRAM_ERRORS.ENDED({ runId, state: record.state });
    this.#records.requestStop(runId, reason);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#triggers.clear();
    await Promise.all([...this.#active.values()].map((run) => run.stop('the runtime closes')));
    this.#unwatch();
  }

  #changed(record: RunRecord): void {
    if (!hasEnded(record)) return;
    this.#active.delete(record.runId);
    this.#fire();
  }

  #look(): void {
    for (const run of this.#active.values()) {
      const reason = this.#records.stopRequest(run.runId);
      if (reason !== undefined) void run.stop(reason);
    }
    this.#fire();
  }

  #fire(): void {
    if (this.#closed) return;
    for (const { trigger, seen } of this.#triggers) {
      for (const record of this.#records.list(trigger.program)) {
        if (!hasEnded(record) || seen.has(record.runId)) continue;
        seen.add(record.runId);
        if (!(trigger.states ?? ['COMPLETED']).includes(record.state as 'COMPLETED')) continue;
        const { file, ...options } = trigger.start;
        try {
          this.startBy(file, { ...options, arguments: { ...record.arguments, ...options.arguments } }, { triggeredBy: record.runId });
        } catch (error) {
          logger.error('a trigger could not start its program', { program: file, error: (error as Error).message });
        }
      }
    }
  }
}
