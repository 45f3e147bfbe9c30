import type { ApplicationProfile } from '../../src/protocol/application.ts';
import { EMPTY_BYTES, type StatusUpdate, type TaskDescription, type TaskState } from '../../src/protocol/task.ts';
import type { Load, Registration } from '../../src/registry/contract.ts';
import { leastLoadedSelector } from '../../src/selectors/index.ts';
import { DispatcherState } from '../../src/dispatcher/state.ts';
import type { DispatcherStateOptions } from '../../src/dispatcher/options.ts';
import type { DispatcherEffect, DispatcherEvent, Submission } from '../../src/dispatcher/contract.ts';

export const APP = 'app-1';
export const IDLE: Load = { running: 0, queued: 0, draining: false };
export const DRAINING: Load = { running: 0, queued: 0, draining: true };

export function task(taskId: number, over: Partial<TaskDescription> = {}): TaskDescription {
  return {
    taskId,
    attemptNumber: 0,
    executorId: 'external',
    name: `task ${taskId}.0 in stage 0.0 (TID ${taskId})`,
    index: taskId,
    stageId: 0,
    stageAttemptNumber: 0,
    kind: 'js',
    commons: [],
    payload: EMPTY_BYTES,
    preferredLocations: [],
    timeoutMs: 0,
    ...over,
  };
}

export function tasks(count: number, over: Partial<TaskDescription> = {}, from = 0): Submission[] {
  return Array.from({ length: count }, (_, i) => ({ application: APP, task: task(from + i, over) }));
}

export function registration(id: string, over: Partial<Registration> = {}): Registration {
  return { kind: 'worker', id, host: 'localhost', pid: 1, version: '0.1.0', slots: 1, kinds: ['js'], labels: {}, queue: `worker.${id}`, ...over };
}

export function update(taskId: number, state: TaskState, executorId: string, data: Uint8Array = EMPTY_BYTES): StatusUpdate {
  return { taskId, state, executorId, data };
}

type Effect<K extends DispatcherEffect['type']> = DispatcherEffect & { type: K };

/** The effects of one kind. */
export function only<K extends DispatcherEffect['type']>(type: K, effects: readonly DispatcherEffect[]): Effect<K>[] {
  return effects.filter((effect) => effect.type === type) as Effect<K>[];
}

/** `worker:task@epoch` of everything sent, in order. */
export function sent(effects: readonly DispatcherEffect[]): string[] {
  return only('send', effects).flatMap((effect) => effect.tasks.map((leased) => `${effect.workerId}:${leased.task.taskId}@${leased.epoch}`));
}

/** `STATE task` of everything reported, in order. */
export function reported(effects: readonly DispatcherEffect[]): string[] {
  return only('report', effects).map((effect) => `${effect.update.state} ${effect.update.taskId}`);
}

/** A state machine with a hand on each of its events; time stands where it is put. */
export function machine(options: Partial<DispatcherStateOptions> = {}) {
  const state = new DispatcherState({ selector: leastLoadedSelector(() => 0.99), retryBackoffMs: 0, ...options });
  const at = { now: 0 };
  // Distributes over the union, so that each event keeps its own fields.
  type Untimed<E> = E extends DispatcherEvent ? Omit<E, 'now'> : never;
  const handle = (event: Untimed<DispatcherEvent>): DispatcherEffect[] => state.handle({ ...event, now: at.now } as DispatcherEvent);
  return {
    state,
    at,
    handle,
    submit: (submissions: readonly Submission[]) => handle({ type: 'submit', submissions }),
    join: (id: string, over: Partial<Registration> = {}, load: Load = IDLE) => handle({ type: 'workerJoined', worker: registration(id, over), load }),
    leave: (workerId: string, reason = 'expired') => handle({ type: 'workerLeft', workerId, reason }),
    beat: (workerId: string, load: Load = IDLE) => handle({ type: 'workerBeat', workerId, load }),
    tick: () => handle({ type: 'tick' }),
    cancel: (taskId: number, reason = 'not needed') => handle({ type: 'cancel', application: APP, taskId, reason }),
    missing: (workerId: string, hash: string) => handle({ type: 'blobMissing', workerId, hash }),
    status: (workerId: string, taskId: number, epoch: number, what: TaskState, data?: Uint8Array) =>
      handle({ type: 'status', workerId, statuses: [{ application: APP, epoch, update: update(taskId, what, workerId, data) }] }),
  };
}

/** A machine with an application of this profile. */
export function profiled(profile: Omit<ApplicationProfile, 'application'>, options: Partial<DispatcherStateOptions> = {}) {
  const m = machine(options);
  m.handle({ type: 'application', profile: { application: APP, ...profile } });
  return m;
}
export const notes = (effects: readonly DispatcherEffect[]) => only('note', effects).map(({ note }) => note);
export const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
