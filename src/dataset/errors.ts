import { defineErrors } from '../core/errors.ts';

export const DATASET_ERRORS = defineErrors('DATASET', {
  NOT_FOUND: [
    'there is no dataset {name} in {store}',
    'create it first: sec.admin.create(name, kind), in a program configurer.createDataset(name, kind); or save an RDD to it',
  ],
  EXISTS: ['dataset {name} exists already', 'choose another name, or create it with ifNotExists'],
  WRONG_KIND: ['dataset {name} is a {kind}, not a {wanted}', 'use the accessor of its kind, or another name'],
  BAD_NAME: ['"{name}" cannot name a dataset', 'use letters, digits, "_", "-" and ".", at most 128, with an optional namespace: "sales:orders"'],
  BAD_DEFINITION: ['dataset {name} cannot be made: {reason}', 'change the options given to create'],
  BAD_KEY: ['{got} cannot be a key', 'use strings, finite numbers, bigints, booleans, Dates, byte arrays, or arrays of them, of at most 1 KiB'],
  BAD_RECORD: ['a record for dataset {name} does not fit: {reason}', 'map records to what this kind takes: pairs for tables, events for streams'],
  SCHEMA: ['{path} of dataset {name} must be {expected}, not {got}', 'map records to the schema of the dataset, or save to another dataset'],
  PARTITION_EXISTS: ['partition {partition} of dataset {name} exists already', 'drop it first, in the same transaction, or write another'],
  FILE_NOT_FOUND: ['dataset {name} has no file {path}', 'list() tells its files'],
  BAD_PATH: ['"{path}" cannot be a path in a file set', 'use relative paths without ".." or empty parts'],
  NO_PARTITION: ['saving to dataset {name} needs {option}', 'say which partition is written: saveAsDataset(name, { {option}: ... })'],

  BAD_STORE: ['dataset.store {url} is not a store known here', 'use sqlite:PATH or postgres://user@host/database'],
  PEER_MISSING: ['a store at postgres: needs the packages pg and pg-copy-streams', 'npm install pg pg-copy-streams'],
  STORE_FAILED: ['the store at {store} failed: {reason}', 'the cause is the error of the store'],
  COMMIT_UNKNOWN: [
    'the store at {store} was lost while a transaction committed, and did not come back: it may have committed',
    'read what it would have written before it is run again',
  ],
  STORE_LAYOUT: ['the store at {store} has layout {found}; this version reads {wanted}', 'use the version that wrote it, or another store'],

  CONFLICT: ['another transaction has written the same {what} of dataset {name} and committed first', 'run it again: execute(body, { retries: 10 })'],
  FENCED: ['this driver was fenced: {reason}', 'another driver has taken its place, or it was silent for too long; what it had open is aborted'],
  VERSION_CLOSED: ['version {version} takes no more writes: its transaction has ended, or its driver was fenced', 'nothing to do: the attempt is obsolete'],
  NESTED: ['Nested transaction not supported', 'call execute() outside of execute(); actions inside join its transaction'],
  TRANSACTION_TIMEOUT: [
    'the transaction has run for more than {timeoutMs} ms',
    'do less in it, or raise dataset.transaction.timeout or the timeoutMs of execute',
  ],
  TRANSACTION_ENDED: ['the transaction has {state}', 'await everything that is done in execute() before its body returns'],
  POISONED: ['the transaction cannot commit: an action inside of it failed', 'the cause is the error of the action; let it end the body of execute'],
  DRAINING: ['no transaction can begin: {reason}', 'begin transactions before the context is stopped or the datasets are closed'],
  NOT_ATTACHED: ['this task has no dataset service', 'use datasets of a SparkContext that they are attached to: sc.datasetContext, sc.fromDataset'],
  SERVICE_FAILED: [
    "the driver's dataset service at {url} did not answer: {reason}",
    'the driver has ended, or cannot be reached from this worker (dataset.service.host)',
  ],
  JOB_OVER: ['stage {stageId} belongs to no job that runs: {reason}', 'nothing to do: the attempt is obsolete'],
  JOB_UNKNOWN: ['no job with stage {stageId} was announced within {waitedMs} ms', 'the task was launched by a context whose datasets are not attached'],
});
