import type { RddNode } from '../rdd/node.ts';

/** Runs what nodes of a lineage need before a job on them, ancestors first; undefined when nothing is to do. */
export function prepareLineage(top: RddNode): Promise<void> | undefined {
  const order: RddNode[] = [];
  const seen = new Set<RddNode>([top]);
  for (const node of seen) {
    if (node.prepare !== undefined) order.push(node);
    for (const parent of node.parents) seen.add(parent);
    for (const { parent } of node.shuffles) seen.add(parent);
  }
  if (order.length === 0) return undefined;
  // A child may be met before its ancestor; RDD ids grow along a lineage.
  order.sort((a, b) => a.id - b.id);
  return (async () => {
    for (const node of order) await node.prepare?.();
  })();
}
