import { defineErrors } from '../core/errors.ts';

export const TASK_ERRORS = defineErrors('TASK', {
  KILLED: ['task {taskId} was killed: {reason}', 'nothing to do: it was cancelled, or another attempt has won'],
  TIMEOUT: ['task {taskId} ran longer than {timeoutMs} ms and was ended', 'raise task.timeout, or look for an endless loop in the function'],
  OUT_OF_MEMORY: [
    'task {taskId} ran out of memory: the limit of a runner thread is {limitMb} MB',
    'use more, smaller partitions, or raise worker.thread.memory',
  ],
  CPU_LIMIT: ['task {taskId} used more than {limitMs} ms of CPU time and was ended', 'raise worker.task.cpu, or look for an endless loop in the function'],
  PROCESS_MEMORY: [
    'task {taskId} was ended: its process holds {residentMb} MB, the limit is {limitMb} MB',
    'use more, smaller partitions, or raise worker.process.memory',
  ],
  THREAD_DIED: ['the thread of task {taskId} ended: {reason}', 'do not call process.exit() in a task; the cause says more'],
  NOT_ITERABLE: ['{operator} must return an iterable, got {got}', 'return an array or a generator'],
  BAD_PAYLOAD: ['the payload of task {taskId} cannot be read: {reason}', 'driver and workers must run the same version of spark-proxy'],
  BAD_COMPARATOR: [
    '{name} does not compare results: {reason}',
    'verify.comparator is bytes, float:1e-9, or the path of a module whose default export is (a, b) => boolean',
  ],
  BAD_STAGE: ['a stage binary cannot be read: {reason}', 'driver and workers must run the same version of spark-proxy'],
  RUNNER_CLOSED: ['task {taskId} cannot run: its runner is closed', 'start the worker or the context again'],
});
