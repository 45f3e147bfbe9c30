/**
 * Has it committed? A connection that is lost while a commit is under way leaves that open (FoundationDB's commit_unknown_result). It is asked on another
 * connection, in a way that decides it: what has not committed by then never will.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { SparkProxyError } from '../../core/errors.ts';
import { DATASET_ERRORS } from '../errors.ts';
import type { PostgresConnections } from './connection.ts';

/** How long a server that does not answer is asked again, milliseconds. */
const PATIENCE_MS = 30_000;
const PAUSE_MS = 250;

export interface Commit {
  readonly epoch: number;
  readonly versions: readonly number[];
  /** Of the version that a commit without versions makes. */
  readonly token: string;
}

/** Whether the error says that the connection ended, and not what the server answered (classes 08 and 57P of SQLSTATE: it ended the connection). */
export function isAnswerLost(error: unknown): boolean {
  if (!SparkProxyError.is(error) || error.code !== 'SP_DATASET_STORE_FAILED') return false;
  const code = (error.cause as { code?: unknown } | undefined)?.code;
  return typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code) || /^(08|57P)/.test(code);
}

/** @throws SP_DATASET_COMMIT_UNKNOWN when the store does not come back */
export async function hasCommitted(db: PostgresConnections, commit: Commit, lost: unknown): Promise<boolean> {
  for (let waited = 0; waited < PATIENCE_MS; waited += PAUSE_MS) {
    await wait(PAUSE_MS);
    try {
      return commit.versions.length > 0 ? await settleVersions(db, commit) : await settleToken(db, commit);
    } catch (error) {
      if (!isAnswerLost(error)) throw error;
    }
  }
  throw DATASET_ERRORS.COMMIT_UNKNOWN({ store: db.url }, lost);
}

/** Waits for the commit that holds the versions, and aborts them if there is none. */
async function settleVersions(db: PostgresConnections, { versions }: Commit): Promise<boolean> {
  await db.query("UPDATE versions SET state = 'aborted' WHERE version = ANY ($1::bigint[]) AND state = 'open'", [versions]);
  const committed = await db.query("SELECT 1 FROM versions WHERE version = $1 AND state = 'committed'", [versions[0]]);
  return committed.length > 0;
}

/** Takes the token, so that the commit cannot, unless it has it already. */
async function settleToken(db: PostgresConnections, { epoch, token }: Commit): Promise<boolean> {
  const taken = await db.query(
    "WITH counter AS (UPDATE meta SET value = value + 1 WHERE name = 'version' RETURNING value) " +
      "INSERT INTO versions (version, epoch, state, token) SELECT value, $1, 'aborted', $2 FROM counter " +
      'ON CONFLICT (token) WHERE token IS NOT NULL DO NOTHING RETURNING version',
    [epoch, token],
  );
  return taken.length === 0;
}
