import { defineErrors } from '../core/errors.ts';

export const RESCHEDULE_ERRORS = defineErrors('RESCHEDULE', {
  HANDED_BACK: ['task {taskId} came back: no worker is left to run it', 'nothing to do: it runs inside; start a worker and the next launch goes out again'],
  NO_TRANSPORT: ['tasks stay inside: {url} cannot be used: {reason}', 'check transport.url; the cause says more'],
  NOT_OFFLOADED: ['{method} runs inside: {reason}', 'mend what it names, or take offload() from this method'],
  NOT_A_METHOD: ['offload() is on {joinPoint}', 'put it on a method or a function that returns a promise'],
  WORKER_EXITED: ['worker process {pid} ended with {status}', 'start the program with log.level=info to see the output of workers'],
});
