/**
 * What operators ask a dispatcher and what it answers: one request, one reply, both JSON under a version. To add a
 * question: a row of `AdminRequests`, and its handler in src/dispatcher/admin.ts.
 */
import { z } from 'zod';
import { errorToWire, type WireError } from '../core/errors.ts';
import { begin, open } from './body.ts';
import { protocolErrors } from './errors.ts';
import { parseJson } from './service-messages.ts';
import type { SparkApplicationInfo } from './spark-application.ts';

export const ADMIN_MESSAGE = { request: 'admin', reply: 'admin-reply' } as const;

/** Longest request and reply, bytes. */
const MAX_REQUEST = 65_536;
const MAX_REPLY = 8_388_608;

export interface DispatcherInfo {
  readonly id: string;
  readonly role: 'leader' | 'standby' | 'embedded';
  readonly term: number;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
}

export interface WorkerInfo {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly kinds: readonly string[];
  readonly slots: number;
  readonly running: number;
  readonly queued: number;
  readonly finished: number;
  readonly failed: number;
  /** `lost`: it is known no more; kept for a while for its figures. */
  readonly state: 'active' | 'draining' | 'excluded' | 'lost';
}

export interface ApplicationInfo {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  /** Whether its tasks go through this dispatcher, or through one of its own. */
  readonly attached: boolean;
  readonly live: number;
  readonly finished: number;
  readonly failed: number;
}

export interface TaskInfo {
  readonly application: string;
  readonly taskId: number;
  readonly name: string;
  readonly state: 'WAITING' | 'RUNNING' | 'FINISHED' | 'FAILED' | 'KILLED' | 'LOST' | 'PARKED';
  /** Where it runs or ran; empty: nowhere yet. */
  readonly worker: string;
  readonly host: string;
  /** Milliseconds from its submission to its end, or to now. */
  readonly ms: number;
  /** Parked ones: what happened to them, a line each. */
  readonly story?: string | undefined;
}

export interface ClusterStatus {
  readonly leader: string;
  readonly term: number;
  readonly upMs: number;
  readonly dispatchers: readonly DispatcherInfo[];
  readonly workers: readonly WorkerInfo[];
  readonly applications: readonly ApplicationInfo[];
  readonly tasks: {
    readonly submitted: number;
    readonly finished: number;
    readonly failed: number;
    readonly retried: number;
    readonly fenced: number;
    readonly adopted: number;
    readonly parked: number;
    readonly live: number;
  };
}

/** Questions, with what is asked and what is answered. */
export interface AdminRequests {
  status: { ask: Record<never, never>; answer: ClusterStatus };
  tasks: { ask: { application?: string | undefined; parked?: boolean | undefined; limit?: number | undefined }; answer: { tasks: readonly TaskInfo[] } };
  kill: { ask: { application: string; taskId?: number | undefined }; answer: { killed: number } };
  drain: { ask: { worker: string }; answer: { worker: string } };
  retry: { ask: { application: string; taskId: number; drop?: boolean | undefined }; answer: { taskId: number } };
  /** Of Apache Spark; those that ended last, too. */
  apps: { ask: Record<never, never>; answer: { applications: readonly SparkApplicationInfo[] } };
  stop: { ask: { application: string }; answer: { application: string } };
  destination: { ask: { destination: 'external' | 'internal'; application?: string | undefined }; answer: { destination: string } };
}

export type AdminQuestion = keyof AdminRequests;
export type AdminAsk<Q extends AdminQuestion = AdminQuestion> = AdminRequests[Q]['ask'];
export type AdminAnswer<Q extends AdminQuestion = AdminQuestion> = AdminRequests[Q]['answer'];

const name = z.string().min(1).max(1000);
const taskId = z.number().int().min(0);

/** What may be asked, checked on arrival. */
const ASKS: { readonly [Q in AdminQuestion]: z.ZodType } = {
  status: z.strictObject({}),
  tasks: z.strictObject({ application: name.optional(), parked: z.boolean().optional(), limit: z.number().int().min(1).max(10_000).optional() }),
  kill: z.strictObject({ application: name, taskId: taskId.optional() }),
  drain: z.strictObject({ worker: name }),
  retry: z.strictObject({ application: name, taskId, drop: z.boolean().optional() }),
  apps: z.strictObject({}),
  stop: z.strictObject({ application: name }),
  destination: z.strictObject({ destination: z.enum(['external', 'internal']), application: name.optional() }),
};

function encode(value: unknown): Uint8Array {
  const out = begin(1);
  out.string(JSON.stringify(value));
  return out.finish();
}

function text(bytes: Uint8Array, limit: number): string {
  if (bytes.length > limit) throw protocolErrors.TOO_LARGE({ bytes: bytes.length, limit });
  const reader = open(bytes);
  reader.count('messages', 1, 1);
  const json = reader.string();
  reader.end();
  return json;
}

const REQUEST = z.strictObject({ id: name, question: z.enum(Object.keys(ASKS) as [AdminQuestion, ...AdminQuestion[]]), ask: z.unknown() });

export interface AdminRequest {
  readonly id: string;
  readonly question: AdminQuestion;
  readonly ask: AdminAsk;
}

export function encodeAdminRequest<Q extends AdminQuestion>(id: string, question: Q, ask: AdminAsk<Q>): Uint8Array {
  return encode({ id, question, ask });
}

export function decodeAdminRequest(bytes: Uint8Array): AdminRequest {
  const json = text(bytes, MAX_REQUEST);
  const { id, question, ask } = parseJson(json, REQUEST, 'a request', MAX_REQUEST);
  const result = ASKS[question].safeParse(ask);
  if (!result.success) throw protocolErrors.MALFORMED({ reason: `a request: ${result.error.issues[0]?.path.join('.')} ${result.error.issues[0]?.message}` });
  return { id, question, ask: result.data as AdminAsk };
}

const REPLY = z.strictObject({
  id: name,
  answer: z.unknown().optional(),
  error: z.looseObject({ name: z.string(), message: z.string(), code: z.string().optional() }).optional(),
});

export type AdminReply =
  { readonly id: string; readonly answer: unknown; readonly error: undefined } | { readonly id: string; readonly answer: undefined; readonly error: WireError };

export function encodeAdminReply(id: string, answer: unknown): Uint8Array {
  return encode({ id, answer });
}

export function encodeAdminError(id: string, error: unknown): Uint8Array {
  const { stack: _stack, ...wire } = errorToWire(error);
  return encode({ id, error: wire });
}

export function decodeAdminReply(bytes: Uint8Array): AdminReply {
  return parseJson(text(bytes, MAX_REPLY), REPLY, 'a reply', MAX_REPLY) as AdminReply;
}
