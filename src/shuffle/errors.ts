import { defineErrors } from '../core/errors.ts';

export const SHUFFLE_ERRORS = defineErrors('SHUFFLE', {
  FETCH_FAILED: [
    'the output of map task {mapIndex} of shuffle {shuffleId} on executor {executorId} cannot be read: {reason}',
    'nothing to do: the stage that made it computes the missing part again',
  ],
  CANNOT_SERVE: [
    'shuffle files cannot be served at {host}:{port}: {reason}',
    'set worker.host or spark.driver.host to an address of this machine, spark.blockManager.port to a free port',
  ],
  BAD_PARTITION: ['partitioner gave partition {partition} for {key}, outside 0..{last}', 'return an integer from 0 to numPartitions - 1'],
  NOT_A_PAIR: ['a by-key operation met a record that is not a pair: {record}', 'map the records to [key, value] first'],
});
