/** Arbitrary messages. */
import fc from 'fast-check';
import type { LeasedTask } from '../../src/protocol/messages.ts';
import { StageTask } from '../../src/protocol/task.ts';

const small = fc.string({ maxLength: 12 });
// Few different strings, so that fields often equal those of the task before.
const few = fc.constantFrom('a', 'b', '__proto__', 'ü');

const description = fc.record({
  taskId: fc.maxSafeNat(),
  attemptNumber: fc.nat(5),
  executorId: few,
  name: small,
  index: fc.nat(),
  stageId: fc.nat(2),
  stageAttemptNumber: fc.nat(1),
  kind: few,
  commons: fc.array(few, { maxLength: 3 }),
  payload: fc.uint8Array({ maxLength: 40 }),
  preferredLocations: fc.array(few, { maxLength: 2 }),
  timeoutMs: fc.oneof(fc.constantFrom(0, 0.5, 30_000), fc.nat()),
});
export const leasedTask: fc.Arbitrary<LeasedTask> = fc.record({
  application: few,
  epoch: fc.nat(),
  task: fc.oneof(
    description,
    description.map((fields) => new StageTask(fields)),
  ),
});

export const leasedStatus = fc.record({
  application: few,
  epoch: fc.nat(),
  update: fc.record({
    taskId: fc.maxSafeNat(),
    state: fc.constantFrom('RUNNING' as const, 'FINISHED' as const, 'FAILED' as const, 'KILLED' as const, 'LOST' as const),
    executorId: few,
    data: fc.uint8Array({ maxLength: 40 }),
    runMs: fc.constantFrom(undefined, 0, 0.25, 1e6),
  }),
});
