/**
 * What applications, workers and the dispatcher service say to each other beside tasks and statuses. Every decoder takes
 * bytes nobody vouches for and throws coded errors only (SP_PROTOCOL_*).
 */
import { z } from 'zod';
import type { ApplicationProfile, HeldLease, StageInfo } from './application.ts';
import { begin, InternReader, InternWriter, MAX_ITEMS, open } from './body.ts';
import { protocolErrors } from './errors.ts';

/** Envelope types. `tasks`, `cancel`, `blob`, `blob-missing` and `status` of messages.ts travel here as well. */
export const SERVICE_MESSAGE = {
  /** Application to dispatcher: I am here, with this profile; repeated whenever it is in doubt. */
  attach: 'attach',
  stages: 'stages',
  /** Application to dispatcher: these blobs are needed no more. */
  release: 'release',
  /** Dispatcher to application: run these yourself. */
  handBack: 'hand-back',
  /** Dispatcher to application: what there is, and what I have of you. */
  capacity: 'capacity',
  /** Dispatcher to application: I do not know you; attach. */
  unknown: 'unknown-application',
  /** Anyone to a dispatcher that leads under a term lower than one already seen. */
  higherTerm: 'higher-term',
  /** Worker to a new leader: the leases I hold. */
  holding: 'holding',
} as const;

/** Longest JSON part of a message, bytes. */
const MAX_JSON = 262_144;

const count = z.number().int().min(0);
const names = z.array(z.string().max(1000)).max(1000);
const labels = z.record(z.string().max(1000), z.string().max(1000));

const PROFILE: z.ZodType<ApplicationProfile> = z.strictObject({
  application: z.string().min(1).max(1000),
  pool: z.string().max(1000).optional(),
  weight: z.number().positive().optional(),
  minShare: count.optional(),
  priority: z.number().optional(),
  maxLeases: z.number().int().min(1).optional(),
  retryBackoffMs: z.number().min(0).optional(),
  retryBackoffMaxMs: z.number().min(0).optional(),
  poison: z.enum(['fail', 'hold']).optional(),
  speculation: z
    .strictObject({ quantile: z.number().min(0).max(1).optional(), multiplier: z.number().min(1).optional(), minTaskRuntimeMs: z.number().min(0).optional() })
    .optional(),
  verify: z
    .strictObject({
      quorum: z.number().int().min(1).max(100).optional(),
      maxReplicas: z.number().int().min(1).max(1000).optional(),
      comparator: z.string().max(1000).optional(),
      trustAfter: count.optional(),
      patienceMs: z.number().min(0).optional(),
    })
    .optional(),
  placement: z
    .strictObject({
      preferredHosts: names.optional(),
      requiredHosts: names.optional(),
      preferredLabels: labels.optional(),
      requiredLabels: labels.optional(),
    })
    .optional(),
}) as never;

const STAGES: z.ZodType<StageInfo[]> = z
  .array(
    z.strictObject({
      stageId: count,
      parents: z.array(count).max(10_000),
      tasksRemaining: count,
      tasks: count.optional(),
      meanMs: z.number().min(0),
    }),
  )
  .max(10_000) as never;

/** JSON text of known shape, out of a body. @throws SP_PROTOCOL_MALFORMED, SP_PROTOCOL_TOO_LARGE */
export function parseJson<T>(text: string, shape: z.ZodType<T>, what: string, limit = MAX_JSON): T {
  if (text.length > limit) throw protocolErrors.TOO_LARGE({ bytes: text.length, limit });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw protocolErrors.MALFORMED({ reason: `${what} is not JSON` }, cause);
  }
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw protocolErrors.MALFORMED({ reason: `${what}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}` });
}

/** What an application says of itself when it attaches to a leader. */
export interface Attach {
  readonly profile: ApplicationProfile;
  /** Highest term it has seen; 0: none. */
  readonly term: number;
}

export function encodeAttach({ profile, term }: Attach): Uint8Array {
  const out = begin(1);
  out.varint(term);
  out.string(JSON.stringify(profile));
  return out.finish();
}

export function decodeAttach(bytes: Uint8Array): Attach {
  const reader = open(bytes);
  reader.count('profiles', 2, 1);
  const term = reader.varint();
  const profile = parseJson(reader.string(), PROFILE, 'an application profile');
  reader.end();
  return { profile, term };
}

export function encodeStages(stages: readonly StageInfo[]): Uint8Array {
  const out = begin(1);
  out.string(JSON.stringify(stages));
  return out.finish();
}

export function decodeStages(bytes: Uint8Array): StageInfo[] {
  const reader = open(bytes);
  reader.count('stage lists', 1, 1);
  const stages = parseJson(reader.string(), STAGES, 'a stage list');
  reader.end();
  return stages;
}

/** Tasks of the receiving application, by id. */
export function encodeHandBack(taskIds: readonly number[]): Uint8Array {
  const out = begin(taskIds.length);
  for (const taskId of taskIds) out.varint(taskId);
  return out.finish();
}

export function decodeHandBack(bytes: Uint8Array): number[] {
  const reader = open(bytes);
  const taskIds: number[] = [];
  for (let left = reader.count('tasks', 1, MAX_ITEMS); left > 0; left--) taskIds.push(reader.varint());
  reader.end();
  return taskIds;
}

/** What a dispatcher tells an application, on every change and at every beat. */
export interface ServiceCapacity {
  /** Of all workers that take tasks. */
  readonly slots: number;
  /** Tasks one application may have at the dispatcher at once. */
  readonly limit: number;
  readonly workers: number;
  /** Tasks of this application that the dispatcher has and that have not ended. */
  readonly live: number;
}

export function encodeCapacity({ slots, limit, workers, live }: ServiceCapacity): Uint8Array {
  const out = begin(1);
  for (const value of [slots, limit, workers, live]) out.varint(value);
  return out.finish();
}

export function decodeCapacity(bytes: Uint8Array): ServiceCapacity {
  const reader = open(bytes);
  reader.count('capacities', 4, 1);
  const capacity = { slots: reader.varint(), limit: reader.varint(), workers: reader.varint(), live: reader.varint() };
  reader.end();
  return capacity;
}

export function encodeTerm(term: number): Uint8Array {
  const out = begin(1);
  out.varint(term);
  return out.finish();
}

export function decodeTerm(bytes: Uint8Array): number {
  const reader = open(bytes);
  reader.count('terms', 1, 1);
  const term = reader.varint();
  reader.end();
  return term;
}

export function encodeHolding(leases: readonly HeldLease[]): Uint8Array {
  const out = begin(leases.length);
  const interned = new InternWriter();
  for (const { application, taskId, epoch } of leases) {
    interned.write(out, application);
    out.varint(taskId);
    out.varint(epoch);
  }
  return out.finish();
}

export function decodeHolding(bytes: Uint8Array): HeldLease[] {
  const reader = open(bytes);
  const interned = new InternReader();
  const leases: HeldLease[] = [];
  for (let left = reader.count('leases', 3, MAX_ITEMS); left > 0; left--) {
    leases.push({ application: interned.read(reader), taskId: reader.varint(), epoch: reader.varint() });
  }
  reader.end();
  return leases;
}
