/** From a stage's RDD graph to what travels: the stage binary shared by its tasks, and each task's own payload. */
import { ClosureErrors } from '../closure/errors.ts';
import type { SerializedGraph } from '../closure/contract.ts';
import { collectModules, serializeGraph } from '../closure/index.ts';
import { contentHash } from '../core/ids.ts';
import { SparkProxyError } from '../core/errors.ts';
import type { PlanNode, Sink, StagePlan, TaskPayload } from '../executor/plan.ts';
import { withHeader } from '../executor/stage-header.ts';
import { encodeTaskPayload } from '../executor/task-codec.ts';
import { blockId } from '../executor/task-runtime.ts';
import type { Blob } from '../protocol/task.ts';
import type { RddNode, ShuffleDependency } from '../rdd/node.ts';
import { collectBroadcasts, type Broadcast } from '../storage/broadcast.ts';

/** Nodes of a stage, parents first, `top` last; the walk stops at shuffles. Iterative: lineages may be deep. */
export function stageNodes(top: RddNode): RddNode[] {
  const order: RddNode[] = [];
  const done = new Set<RddNode>();
  const stack: { node: RddNode; next: number }[] = [{ node: top, next: 0 }];
  while (stack.length > 0) {
    const frame = stack.at(-1) as { node: RddNode; next: number };
    const parent = frame.node.parents[frame.next++];
    if (parent !== undefined) {
      if (!done.has(parent)) stack.push({ node: parent, next: 0 });
      continue;
    }
    stack.pop();
    if (!done.has(frame.node)) {
      done.add(frame.node);
      order.push(frame.node);
    }
  }
  return order;
}

/** Every shuffle below the stage, each once. */
export function stageShuffles(nodes: readonly RddNode[]): ShuffleDependency[] {
  return [...new Set(nodes.flatMap((node) => node.shuffles))];
}

/** @throws SP_CLOSURE_NOT_SERIALIZABLE with a path that begins at the operator: `function f of map at words.ts:12 -> cfg` */
export function encodeStage(
  application: string,
  nodes: readonly RddNode[],
  sink: Sink,
  code: readonly string[] = [],
): { bytes: Uint8Array; broadcasts: ReadonlySet<Broadcast<unknown>>; modules: Blob | undefined } {
  const index = new Map(nodes.map((node, i) => [node, i]));
  const planNodes = nodes.map((node): PlanNode => {
    const parents = node.parents.map((parent) => index.get(parent) as number);
    return { op: node.op, parents, params: node.params, ...(node.persisted ? { cacheId: node.id } : {}) };
  });
  const plan: StagePlan = { application, nodes: planNodes, sink };
  const { result, broadcasts } = collectBroadcasts(() => serializePlan(plan, nodes));
  const bundle = collectModules(result.imports, code);
  const modules = bundle === undefined ? undefined : { hash: contentHash(bundle), bytes: bundle };
  return { bytes: withHeader({ application, modules: modules?.hash }, result.bytes), broadcasts, modules };
}

function serializePlan(plan: StagePlan, nodes: readonly RddNode[]): SerializedGraph {
  try {
    return serializeGraph(plan);
  } catch (error) {
    if (!SparkProxyError.is(error) || error.code !== 'SP_CLOSURE_NOT_SERIALIZABLE') throw error;
    throw ClosureErrors.NOT_SERIALIZABLE({ ...error.fields, path: pathFromOperator(String(error.fields['path']), plan, nodes) }, error.cause);
  }
}

/** `object -> .nodes -> [1] -> .params -> .f -> cfg` as its author knows it: `function f of map at words.ts:12 -> cfg`. */
function pathFromOperator(path: string, plan: StagePlan, nodes: readonly RddNode[]): string {
  const [, part, ...rest] = path.split(' -> ');
  let owner: string;
  let at: unknown;
  if (part === '.sink') {
    owner = plan.sink.type === 'shuffle' ? `the shuffle after ${nodes.at(-1)?.callSite}` : 'the action';
    at = plan.sink;
  } else {
    const node = part === '.nodes' ? nodes[Number(rest[0]?.slice(1, -1))] : undefined;
    if (node === undefined || rest[1] !== '.params') return path;
    owner = node.callSite;
    at = node.params;
    rest.splice(0, 2);
  }
  // A function may lie deeper: `.aggregator -> .mergeValue`.
  let name = 'value';
  while (typeof at === 'object' && at !== null && rest[0]?.startsWith('.') === true) {
    name = (rest.shift() as string).slice(1);
    at = (at as Record<string, unknown>)[name];
  }
  return [`${typeof at === 'function' ? 'function ' : ''}${name} of ${owner}`, ...rest].join(' -> ');
}

/** The route of a partition down to its source, and the payload of its task. */
export function encodePayload(
  application: string,
  top: RddNode,
  partition: number,
  inputsOf: (shuffles: readonly ShuffleDependency[]) => readonly string[],
  properties: Readonly<Record<string, string>>,
): { bytes: Uint8Array; cached: string[] } {
  const route: [number, number][] = [];
  const cached: string[] = [];
  let node = top;
  let at = partition;
  for (;;) {
    if (node.persisted) cached.push(blockId(application, node.id, at));
    if (node.parents.length === 0) break;
    let parent = 0;
    if (node.op === 'union') {
      while (at >= (node.parents[parent] as RddNode).partitions()) at -= (node.parents[parent++] as RddNode).partitions();
      route.push([parent, at]);
    }
    node = node.parents[parent] as RddNode;
  }
  const payload: TaskPayload = { partition, route, source: node.source?.(at), inputs: inputsOf(node.shuffles), properties };
  return { bytes: encodeTaskPayload(payload), cached };
}
