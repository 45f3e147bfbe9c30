import { defineErrors } from '../core/errors.ts';

export const dispatcherErrors = defineErrors('DISPATCHER', {
  LEASES_EXHAUSTED: [
    '{name} was given up: {count} workers were lost while they held it\n{story}',
    'A task that takes its workers down with it is usually out of memory or calls process.exit: look at the logs of these workers.',
  ],
  NO_QUORUM: [
    '{name} has no result that {quorum} workers agree on: {reason}',
    'Start more workers, or look at what they compute: results that depend on time, chance or order need a comparator that allows for it.',
  ],
  CANCELLED: ['{name} was cancelled: {reason}', 'This is what was asked for; nothing needs to be done.'],
  BLOB_UNAVAILABLE: [
    '{name} needs blob {hash}, which the dispatcher cannot send: {reason}',
    'Put every blob before the tasks that name it, release it after they have ended, and keep it below the frame limit of the transport.',
  ],
  TASK_UNSENDABLE: [
    '{name} cannot be sent to a worker',
    'See the cause. If it is too large: put its large data in a broadcast variable or a file, or raise maxFrameBytes on every process.',
  ],
  BAD_SELECTION: [
    'host selector {selector} chose {chosen} for {name}, which is not one of the hosts offered',
    'Correct the selector: it must return one of `hosts`, or undefined. The first host was taken instead.',
  ],
  SELECTOR_FAILED: ['host selector {selector} threw for {name}', 'Correct the selector; see the cause. The first host was taken instead.'],
  INVALID_TRANSITION: ['{name} cannot go from {from} to {to}\n{story}', 'This is a defect of spark-proxy: please report it with this text.'],
  BAD_OPTION: ['dispatcher option {option} is {value}: {reason}', 'Correct the option.'],
  BAD_PROFILE: ['application {application} asks for {field} = {value}: {reason}', 'Correct the profile of the application.'],
  BAD_STAGE: ['stage {stageId} cannot be part of the graph: {reason}', 'This is a defect of the scheduler that says so: please report it with this text.'],
  UNKNOWN_ORDER: ['there is no order of tasks named "{name}"', 'choose one of {known}'],
  ATTACHED: ['application {application} is attached to this dispatcher already', 'Detach it first; application ids are unique per start of an application.'],
  NO_SUCH: ['there is no {what} {id}', 'See `spark-proxy status` and `spark-proxy tasks` for what there is; it may have ended meanwhile.'],
  NO_SEAT: [
    'the dispatcher can neither serve {url} nor reach one that does',
    'See the cause. On tcp the first dispatcher of a host serves the address, later ones connect to it and stand by.',
  ],
  NOT_ITS_OWN: ['{sender} spoke for application {application}', 'An application attaches under its own id; this frame was ignored.'],
  REPORT_UNSENDABLE: [
    'the result of task {taskId} cannot be sent to its application',
    'See the cause. Write large results to files, collect less, or raise maxFrameBytes on every process.',
  ],
  CLOSED: ['the dispatcher is closed', 'Tasks must be submitted before it is closed.'],
});
