/** Runs a workflow: programs through a runtime, a run each; actions and conditions in the thread of the workflow. */
import { dirname, isAbsolute, resolve } from 'node:path';
import { createLogger } from '../core/logger.ts';
import type { ProgramRun, RunRecord, StartOptions } from './contract.ts';
import { PROGRAM_ERRORS } from './errors.ts';
import type { StartedBy } from './runtime.ts';
import { Token } from './token.ts';
import type { Workflow, WorkflowNode } from './workflow.ts';

const logger = createLogger('workflow');

export interface WorkflowHost {
  readonly runId: string;
  /** Of the workflow's own file: paths of its programs are relative to it. */
  readonly file: string;
  readonly arguments: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  start(file: string, options: StartOptions, by: StartedBy): ProgramRun;
}

/** Ends with the token; rejects with SP_PROGRAM_NODE_FAILED, or with what an action or condition threw. */
export async function runWorkflow(workflow: Workflow, host: WorkflowHost): Promise<Token> {
  const token = new Token(workflow.name);
  await runNodes(workflow, workflow.nodes, token, host, host.signal);
  return token;
}

async function runNodes(workflow: Workflow, nodes: readonly WorkflowNode[], token: Token, host: WorkflowHost, signal: AbortSignal): Promise<void> {
  for (const node of nodes) {
    signal.throwIfAborted();
    await runNode(workflow, node, token, host, signal);
  }
}

async function runNode(workflow: Workflow, node: WorkflowNode, token: Token, host: WorkflowHost, signal: AbortSignal): Promise<void> {
  switch (node.kind) {
    case 'program':
      return runProgram(workflow, node, token, host, signal);
    case 'action': {
      const own = new Token(node.name, token.values());
      await node.action(own, signal);
      token.merge(own.values());
      return;
    }
    case 'condition': {
      const holds = await node.test(new Token(node.name, token.values()));
      logger.info('condition', { workflow: workflow.name, node: node.name, holds });
      return runNodes(workflow, holds ? node.whenTrue : node.otherwise, token, host, signal);
    }
    case 'fork': {
      const failed = new AbortController();
      const either = AbortSignal.any([signal, failed.signal]);
      const branches = node.branches.map((branch) =>
        runNodes(workflow, branch, token, host, either).catch((error: unknown) => {
          failed.abort(error);
          throw error;
        }),
      );
      await Promise.allSettled(branches);
      // The first that failed, not those that were stopped because of it.
      if (failed.signal.aborted) throw failed.signal.reason;
    }
  }
}

async function runProgram(
  workflow: Workflow,
  node: Extract<WorkflowNode, { kind: 'program' }>,
  token: Token,
  host: WorkflowHost,
  signal: AbortSignal,
): Promise<void> {
  const file = isAbsolute(node.file) ? node.file : resolve(dirname(host.file), node.file);
  const options = { ...node.options, arguments: { ...host.arguments, ...node.options.arguments } };
  const run = host.start(file, options, { workflow: { runId: host.runId, node: node.name }, token: token.values() });
  const stop = (): void => void run.stop('its workflow ends');
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  let record: RunRecord;
  try {
    record = await run.ended;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  signal.throwIfAborted();
  if (record.state !== 'COMPLETED') {
    const cause = record.cause === undefined ? undefined : Object.assign(new Error(record.cause.message), { name: record.cause.name, code: record.cause.code });
    throw PROGRAM_ERRORS.NODE_FAILED({ node: node.name, workflow: workflow.name, state: record.state, runId: record.runId }, cause);
  }
  token.merge(record.token ?? {});
}
