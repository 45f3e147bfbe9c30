import { defineErrors } from '../core/errors.ts';

export const PROGRAM_ERRORS = defineErrors('PROGRAM', {
  CONTEXT_EXISTS: ['SparkContext was already created in run {runId}', 'a run has one context: use sec.getSparkContext(), or the one you made'],
  STOPPED: ['Spark program is already stopped: run {runId} makes no more contexts', 'watch sec.signal, and end run() when it is aborted'],
  NOT_FOUND: ['{file} holds no program: {found}', 'export a class that extends SparkProgram, a defineProgram(...), a defineWorkflow(...) or a main function'],
  AMBIGUOUS: ['{file} holds several programs: {names}', 'say which: FILE#NAME'],
  NO_SUCH_FILE: ['there is no program at {file}', 'give the path of a TypeScript or JavaScript file'],
  BAD_ENGINE: [
    'the engine that {file} resolves to ({engine}) cannot run programs: {reason}',
    'install a version of spark-proxy with program support beside the program',
  ],
  BAD_DEFINITION: ['{what} is not right: {reason}', 'see docs/programs.md'],
  DIED: ['the program ended before its run was over: {reason}', 'look at its log with spark-proxy program logs {runId}'],
  PROCESS_GONE: ['process {pid} ended while run {runId} was {state}', 'nothing it had not committed is visible; run the program again'],
  STOP_TIMEOUT: [
    'run {runId} did not end within {graceMs} ms of being stopped and was ended by force',
    'let run() end when sec.signal is aborted, or raise program.stop.grace',
  ],
  NO_SUCH_RUN: ['there is no run {run}', 'see spark-proxy program runs'],
  ENDED: ['run {runId} has already ended ({state})', 'see spark-proxy program runs'],
  BAD_RECORD: ['the record of a run in {path} cannot be read: {reason}', 'remove the file'],
  NODE_FAILED: ['node {node} of workflow {workflow} ended {state}', 'see the cause, and the log of run {runId}'],
  RUNTIME_CLOSED: ['the runtime is closed', 'make a new one'],
});
