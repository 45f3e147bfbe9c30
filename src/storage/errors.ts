import { defineErrors } from '../core/errors.ts';

export const STORAGE_ERRORS = defineErrors('STORAGE', {
  BROADCAST_DESTROYED: ['broadcast {id} was destroyed', 'destroy a broadcast only after the last job that uses it'],
  ACCUMULATOR_READ: ['the value of accumulator {name} cannot be read inside a task', 'read it on the driver when the action has ended'],
  UNKNOWN_BLOB: ['blob {hash} is not known to this application', 'this is a defect of spark-proxy: please report it with the log'],
});
