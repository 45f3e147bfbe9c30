/**
 * Programs: what authors write, and how a runtime runs them.
 *
 * LIFE CYCLE: `configure` (settings, datasets) -> `initialize` -> `run` -> `destroy`, which is told how it ended. Each run has a record
 * with its state and cause. A run has one SparkContext, whoever makes it: `new SparkContext()` in `run`, `sec.getSparkContext()`, or the runtime,
 * for a class whose constructor takes one.
 * ISOLATION: each run has a thread with its own module graph, globals, environment and configuration, and the engine that is installed beside the program.
 */
import type { Logger } from '../core/logger.ts';
import type {
  CreateOptions,
  DatasetAdmin,
  DatasetContext,
  DatasetKind,
  ExecuteOptions,
  Metrics,
  ReadOptions,
  RecordOf,
  SaveOptions,
  StreamEvent,
} from '../dataset/contract.ts';
import type { RDD } from '../rdd/rdd.ts';
import type { SparkContext } from '../scheduler/spark-context.ts';

type Awaitable<T> = T | Promise<T>;

/** STARTING -> RUNNING -> COMPLETED, KILLED or FAILED. */
export type ProgramState = 'STARTING' | 'RUNNING' | 'COMPLETED' | 'KILLED' | 'FAILED';
export type EndState = Exclude<ProgramState, 'STARTING' | 'RUNNING'>;

/** Why a run failed: the error as text, with its code where it has one. */
export interface RunCause {
  readonly name: string;
  readonly code?: string;
  readonly message: string;
  readonly stack?: string;
}

/** What is kept of a run. */
export interface RunRecord {
  readonly runId: string;
  readonly kind: 'program' | 'workflow';
  /** Name of the program or workflow. */
  readonly program: string;
  readonly file: string;
  readonly state: ProgramState;
  /** Milliseconds since the epoch. */
  readonly startTime: number;
  readonly endTime?: number;
  readonly pid: number;
  /** Start of that process, in its system's ticks: process ids are used again. */
  readonly pidStart: number;
  /** Version of the engine that runs it. */
  readonly engine: string;
  readonly arguments: Readonly<Record<string, string>>;
  readonly cause?: RunCause;
  /** The workflow run that started it, and as which node. */
  readonly workflow?: { readonly runId: string; readonly node: string };
  /** The run whose end started it. */
  readonly triggeredBy?: string;
  /** Values of the token when it ended (workflows and their programs). */
  readonly token?: TokenValues;
}

/** What a program is told when it has ended. */
export interface ProgramEnd {
  readonly state: EndState;
  readonly cause?: Error;
}

/** Values by key, each with the node that put it. */
export type TokenValues = Readonly<Record<string, readonly { readonly node: string; readonly value: string }[]>>;

/** What programs of one workflow run tell each other. */
export interface WorkflowToken {
  put(key: string, value: string | number | boolean): void;
  /** The last value, of any node or of one. */
  get(key: string, node?: string): string | undefined;
  getAll(key: string): readonly { readonly node: string; readonly value: string }[];
  values(): TokenValues;
}

/** Given to `configure`, before anything of the run exists. */
export interface Configurer {
  setName(name: string): void;
  setDescription(text: string): void;
  /** A setting of the engine or of the program, as if in its SparkConf; the environment and flags of the run win. */
  set(key: string, value: string | number | boolean): void;
  /** A dataset that is made before the first run. */
  createDataset(name: string, kind: DatasetKind, options?: CreateOptions): void;
}

/** What a run is given. */
export interface SparkExecutionContext {
  readonly runId: string;
  readonly programName: string;
  /** Milliseconds since the epoch. */
  readonly startTime: number;
  /** `--arg name=value` of the run. */
  readonly arguments: Readonly<Record<string, string>>;
  /** What followed the program on the command line. */
  readonly args: readonly string[];
  readonly logger: Logger;
  /** Aborted when the run is to end. */
  readonly signal: AbortSignal;
  /** Of the workflow that this run belongs to. */
  readonly workflowToken: WorkflowToken | undefined;
  /** The run's context, made now if there is none. @throws SP_PROGRAM_STOPPED */
  getSparkContext(): SparkContext;
  /** What `sc.fromDataset` does, for those who want no extensions. */
  fromDataset<N extends string>(sc: SparkContext, name: N, options?: ReadOptions): RDD<RecordOf<N>>;
  fromDataset<T>(sc: SparkContext, name: string, options?: ReadOptions): RDD<T>;
  saveAsDataset<T>(sc: SparkContext, rdd: RDD<T>, name: string, options?: SaveOptions): Promise<void>;
  fromStream<T = unknown>(sc: SparkContext, name: string, from: Date | number, to: Date | number): RDD<StreamEvent<T>>;
  /** Runs `body` in one explicit transaction. @throws as TransactionManager.execute */
  execute<R>(body: (datasets: DatasetContext) => Awaitable<R>, options?: ExecuteOptions): Promise<R>;
  execute<R>(timeoutMs: number, body: (datasets: DatasetContext) => Awaitable<R>): Promise<R>;
  /** Serializable: may be captured by closures. */
  readonly datasetContext: DatasetContext;
  readonly admin: DatasetAdmin;
  /** @throws SP_PROGRAM_STOPPED when it has to make a context */
  getMetrics(): Metrics;
  /** Base URL of a running service, or undefined. */
  discoverService(name: string): string | undefined;
}

/** The functional form of a program. */
export interface ProgramDefinition {
  readonly name?: string;
  configure?(configurer: Configurer): void;
  initialize?(sec: SparkExecutionContext): Awaitable<void>;
  run(sec: SparkExecutionContext): unknown;
  destroy?(end: ProgramEnd): Awaitable<void>;
}

/** A run under way. */
export interface ProgramRun {
  readonly runId: string;
  readonly record: RunRecord;
  /** Resolves with the final record, whatever its state. */
  readonly ended: Promise<RunRecord>;
  /** Asks it to end: aborts `sec.signal`, stops the context, waits for its transactions, at last ends it by force. Resolves as `ended`. */
  stop(reason?: string): Promise<RunRecord>;
}

export interface StartOptions {
  /** @defaultValue the program's own */
  readonly name?: string;
  readonly arguments?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Settings that win over the program's own. */
  readonly conf?: Readonly<Record<string, string>>;
}

/** Any of these ends of runs of the program start another. */
export interface Trigger {
  readonly program: string;
  /** @defaultValue ['COMPLETED'] */
  readonly states?: readonly EndState[];
  readonly start: { readonly file: string } & StartOptions;
}

/** Runs any number of programs at once. */
export interface ProgramRuntime {
  /**
   * Starts the program of a file (`path`, or `path#Name` where it has several).
   * @throws SP_PROGRAM_NO_SUCH_FILE, SP_PROGRAM_BAD_ENGINE, SP_PROGRAM_RUNTIME_CLOSED; all later errors are in the record
   */
  start(program: string, options?: StartOptions): ProgramRun;
  /** Runs under way in this runtime. */
  active(): readonly ProgramRun[];
  /** Records of this home, newest first: of this runtime and of others. */
  runs(program?: string): RunRecord[];
  /** Returns the function that takes the trigger back. Ends of runs in other processes count too. */
  addTrigger(trigger: Trigger): () => void;
  /** Stops a run of this runtime or asks the process that runs it. @throws SP_PROGRAM_NO_SUCH_RUN, SP_PROGRAM_ENDED */
  stop(run: string, reason?: string): Promise<void>;
  /** Stops all runs of this runtime. Idempotent. */
  close(): Promise<void>;
}
