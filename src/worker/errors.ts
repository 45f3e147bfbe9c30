import { defineErrors } from '../core/errors.ts';

export const workerErrors = defineErrors('WORKER', {
  UNKNOWN_KIND: [
    '{name} is of kind "{kind}", which worker {worker} cannot run (it runs {known})',
    'Give the worker a runner of this kind, or run the same version everywhere.',
  ],
  RESULT_TOO_LARGE: ['the result of {name} cannot be sent', 'Write large results to files, collect less, or raise maxFrameBytes on every process.'],
  CANCELLED: ['{name} was cancelled before it began: {reason}', 'This is what was asked for; nothing needs to be done.'],
  DRAINED: ['{name} was returned by worker {worker}, which is stopping: {reason}', 'It is run elsewhere; nothing needs to be done.'],
  DUPLICATE_KIND: ['two runners of kind "{kind}" were given to a worker', 'Give one runner for each kind.'],
  BAD_OPTION: ['worker option {option} is {value}: {reason}', 'Correct the option.'],
});
