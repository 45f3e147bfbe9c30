/**
 * The thread of one run: finds the program in its module, gives it its context, and tells the runtime how it ended.
 * Started with the preload on; loads the engine only after the aspect on its context is woven.
 */
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { environmentName, loadConfiguration } from '../core/config.ts';
import { CONFIG_KEYS } from '../core/config-schema.ts';
import { printable } from '../core/errors.ts';
import { createLogger } from '../core/logger.ts';
import type { Datasets } from '../dataset/contract.ts';
import { addEditor } from '../loader/hook.ts';
import type { SparkContext } from '../scheduler/spark-context.ts';
import type { Configurer, EndState, ProgramDefinition, ProgramEnd, SparkExecutionContext } from './contract.ts';
import { collectDeclared, declaredProgramsEditor, findProgram, type Found } from './discover.ts';
import { PROGRAM_ERRORS } from './errors.ts';
import { guardContexts } from './guard.ts';
import { causeOf } from './records.ts';
import type { FromProgram, ThreadData, ToProgram } from './thread-messages.ts';
import { Token } from './token.ts';
import type { Workflow } from './workflow.ts';

const port = parentPort;
if (port === null) throw new Error('thread-main runs only as a worker thread');
const data = workerData as ThreadData;
const logger = createLogger('program');
const tell = (message: FromProgram): void => port.postMessage(message);

const stopping = new AbortController();
let datasets: Datasets | undefined;
let attach: ((context: SparkContext) => void) | undefined;
let runningTold = false;

function running(): void {
  if (!runningTold) tell({ type: 'running' });
  runningTold = true;
}

const guard = guardContexts(data.runId, (context) => {
  attach?.(context);
  running();
});

addEditor(declaredProgramsEditor);

port.on('message', ({ reason }: ToProgram) => {
  guard.close();
  stopping.abort(PROGRAM_ERRORS.STOPPED({ runId: data.runId }));
  logger.info('asked to stop', { run: data.runId, reason });
  for (const context of guard.contexts) context.stop().catch((error: unknown) => logger.debug('while stopping', { error: String(error) }));
});
// A program of the old kind ends when nothing is left to do; listening is nothing.
port.unref();

/** The only way out for programs that are told to end: what is written to the log first. */
async function end(state: EndState, cause: unknown, token: Token | undefined): Promise<void> {
  tell({ type: 'ended', state, ...(cause === undefined ? {} : { cause: causeOf(cause) }), ...(token === undefined ? {} : { token: token.values() }) });
  for (const stream of [process.stdout, process.stderr]) await new Promise<void>((resolve) => stream.write('', () => resolve()));
  process.exit(0);
}

function outcome(failure: unknown): ProgramEnd {
  if (stopping.signal.aborted) return { state: 'KILLED' };
  if (failure === undefined) return { state: 'COMPLETED' };
  return { state: 'FAILED', cause: failure instanceof Error ? failure : new Error(`the program threw ${printable(failure)}`) };
}

interface Configured {
  name: string | undefined;
  readonly created: Parameters<Configurer['createDataset']>[];
}

function configure(target: { configure?(configurer: Configurer): void }, configured: Configured): void {
  target.configure?.({
    setName: (name) => void (configured.name = name),
    setDescription: () => undefined,
    set(key, value) {
      if (!Object.hasOwn(CONFIG_KEYS, key)) throw PROGRAM_ERRORS.BAD_DEFINITION({ what: `setting ${key}`, reason: 'no such key; see spark-proxy conf' });
      process.env[environmentName(key)] ??= String(value);
    },
    createDataset: (...dataset) => void configured.created.push(dataset),
  });
}

async function runProgram(found: Extract<Found, { kind: 'class' | 'definition' }>): Promise<void> {
  guard.limit();
  const configured: Configured = { name: found.name, created: [] };
  const takesContext = found.kind === 'class' && found.program.length > 0;
  if (found.kind === 'class') configure(found.program, configured);
  // A context needs all settings, so it comes after configure, unless the constructor wants it.
  let program: ProgramDefinition | undefined;
  if (!takesContext) {
    program = found.kind === 'class' ? new found.program() : found.program;
    configure(program, configured);
  }
  const programName = configured.name ?? basename(data.file).replace(/\.[cm]?[jt]s$/, '');
  tell({ type: 'program', name: programName, kind: 'program' });
  const { openDatasets, attachDatasets } = await import('../dataset/index.ts');
  const opened = (datasets = await openDatasets({}, loadConfiguration({})));
  attach = (context) => attachDatasets(context, opened);
  for (const [name, kind, options] of configured.created) await opened.admin.create(name, kind, { ifNotExists: true, ...options });
  const { SparkContext } = await import('../scheduler/spark-context.ts');
  const token = data.node === undefined ? undefined : new Token(data.node, data.token);
  const context: SparkExecutionContext = new (await import('./execution-context.ts')).ExecutionContext({
    ...data,
    programName,
    signal: stopping.signal,
    workflowToken: token,
    datasets: opened,
    sparkContext: () => guard.contexts[0] ?? new SparkContext(),
  });
  let failure: unknown;
  try {
    if (program === undefined) {
      const Program = (found as Extract<Found, { kind: 'class' }>).program as unknown as new (
        sc: SparkContext,
        sec: SparkExecutionContext,
      ) => ProgramDefinition;
      program = new Program(context.getSparkContext(), context);
    }
    await program.initialize?.(context);
    running();
    stopping.signal.throwIfAborted();
    await program.run(context);
  } catch (error) {
    failure = error ?? new Error('the program threw nothing');
  }
  guard.close();
  for (const sc of guard.contexts) await sc.stop();
  await opened.transactions.drain();
  const end_ = outcome(failure);
  try {
    await program?.destroy?.(end_);
  } catch (error) {
    logger.error('destroy threw', { run: data.runId, error: (error as Error).stack });
  }
  await opened.close();
  await end(end_.state, end_.cause, token);
}

async function runWorkflow(workflow: Workflow): Promise<void> {
  tell({ type: 'program', name: workflow.name, kind: 'workflow' });
  const { createRuntime } = await import('./runtime.ts');
  const { runWorkflow: walk } = await import('./workflow-run.ts');
  const runtime = createRuntime({ home: data.home, echo: true });
  running();
  let token: Token | undefined;
  let failure: unknown;
  try {
    token = await walk(workflow, {
      runId: data.runId,
      file: data.file,
      arguments: data.arguments,
      signal: stopping.signal,
      start: (file, options, by) => runtime.startBy(file, options, by),
    });
  } catch (error) {
    failure = error;
  }
  await runtime.close();
  const { state, cause } = outcome(failure);
  await end(state, cause, token);
}

async function main(): Promise<void> {
  const url = pathToFileURL(data.file).href;
  process.argv = [process.argv[0] as string, data.file, ...data.args];
  const declared = collectDeclared();
  let found: Found;
  try {
    const module = (await import(url)) as Readonly<Record<string, unknown>>;
    found = findProgram(data.file, data.wanted, module, declared(url));
  } catch (error) {
    return end(stopping.signal.aborted ? 'KILLED' : 'FAILED', error, undefined);
  }
  // A program or workflow may wait for its stop alone.
  if (found.kind !== 'main') port?.ref();
  if (found.kind === 'workflow') return runWorkflow(found.workflow);
  if (found.kind !== 'main') {
    try {
      return await runProgram(found);
    } catch (error) {
      for (const sc of guard.contexts) await sc.stop();
      await datasets?.close();
      return end(stopping.signal.aborted ? 'KILLED' : 'FAILED', error, undefined);
    }
  }
  // It knows nothing of runs: it has ended when its thread has.
  running();
  try {
    await found.main?.(...data.args);
  } catch (error) {
    for (const sc of guard.contexts) await sc.stop();
    return end(stopping.signal.aborted ? 'KILLED' : 'FAILED', error, undefined);
  }
}

await main();
