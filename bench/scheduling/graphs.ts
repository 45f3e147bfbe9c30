/** Jobs as graphs of stages. */
import type { Random } from '../../src/core/ids.ts';
import { SimulatedCluster } from './cluster.ts';

export interface BenchStage {
  readonly parents: readonly number[];
  /** Duration of each of its tasks, milliseconds. */
  readonly tasks: readonly number[];
}

/** The graph is skewed: a chain of `length` narrow stages beside independent wide ones, as much work as the chain is long. */
export function skewed(workers: number, length: number): BenchStage[] {
  const chain = Array.from({ length }, (_, i): BenchStage => ({ parents: i === 0 ? [] : [i - 1], tasks: [1000, 1000] }));
  const wideStages = 8;
  const perStage = Math.ceil((workers * length * 1000) / 200 / wideStages);
  const wide = Array.from({ length: wideStages }, (): BenchStage => ({ parents: [], tasks: Array<number>(perStage).fill(200) }));
  return [...chain, ...wide, { parents: [...chain.keys(), ...wide.keys()].slice(-1).concat(length - 1), tasks: [100] }];
}

/** Layers of random width and duration, each stage with one to three parents of earlier layers (Tobita, Kasahara 2002: STG). */
export function layered(random: Random): BenchStage[] {
  const stages: BenchStage[] = [];
  for (let layer = 0; layer < 8; layer++) {
    const before = stages.length;
    for (let i = 2 + Math.floor(random() * 6); i > 0; i--) {
      const parents = before === 0 ? [] : Array.from({ length: 1 + Math.floor(random() * 3) }, () => Math.floor(random() * before));
      const ms = 50 * 20 ** random();
      stages.push({ parents: [...new Set(parents)], tasks: Array.from({ length: 1 + Math.floor(random() * 32) }, () => ms * (0.8 + 0.4 * random())) });
    }
  }
  return stages;
}

/** Time until the whole job has ended, milliseconds. Stages are submitted when their parents have ended, as a DAGScheduler does. */
export function makespan(order: string, workers: number, stages: readonly BenchStage[], random: Random): number {
  const cluster = new SimulatedCluster({ selector: 'PULL', order, workers: Array<number>(workers).fill(1), random });
  const left = stages.map(({ tasks }) => tasks.length);
  const children = stages.map((): number[] => []);
  const waits = stages.map(({ parents }, id) => {
    for (const parent of parents) children[parent]?.push(id);
    return parents.length;
  });
  const info = (stageId: number) => {
    const { parents, tasks } = stages[stageId] as BenchStage;
    return { stageId, parents, tasksRemaining: left[stageId] ?? 0, tasks: tasks.length, meanMs: tasks.reduce((a, b) => a + b, 0) / tasks.length };
  };
  cluster.stages(stages.map((_, id) => info(id)));
  let next = 0;
  const submit = (id: number): void => {
    for (const ms of stages[id]?.tasks ?? []) {
      cluster.submit(next++, id, ms, () => {
        left[id] = (left[id] ?? 0) - 1;
        if (left[id] > 0) return;
        cluster.stages([info(id)]);
        for (const child of children[id] ?? []) if ((waits[child] = (waits[child] ?? 0) - 1) === 0) submit(child);
      });
    }
  };
  stages.forEach(({ parents }, id) => {
    if (parents.length === 0) submit(id);
  });
  return cluster.run();
}

/** No order can be faster: the longest path, and the work spread evenly. */
export function lowerBound(workers: number, stages: readonly BenchStage[]): number {
  const ends: number[] = [];
  let work = 0;
  for (const { parents, tasks } of stages) {
    ends.push(Math.max(0, ...parents.map((parent) => ends[parent] ?? 0)) + Math.max(...tasks));
    for (const ms of tasks) work += ms;
  }
  return Math.max(...ends, work / workers);
}
