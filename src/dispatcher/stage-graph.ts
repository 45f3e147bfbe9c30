import type { StageInfo } from '../protocol/application.ts';
import { dispatcherErrors } from './errors.ts';

/** Told by applications, so bounded here. */
const MAX_STAGES = 100_000;
const MAX_PARENTS = 10_000;

interface Node {
  info: StageInfo;
  readonly children: Set<number>;
  rank: number;
}

/** The stages of one application's jobs and their upward ranks (HEFT; Topcuoglu, Hariri, Wu 2002). */
export class StageGraph {
  readonly #nodes = new Map<number, Node>();
  /** Children of stages that are not known yet, or are done. */
  readonly #orphans = new Map<number, Set<number>>();
  #dirty = false;
  #slots = 0;

  get size(): number {
    return this.#nodes.size;
  }

  get(stageId: number): StageInfo | undefined {
    return this.#nodes.get(stageId)?.info;
  }

  /** Adds or changes a stage; `tasksRemaining` 0 removes it. @throws SP_DISPATCHER_BAD_STAGE */
  set(stage: StageInfo): void {
    const { stageId, tasksRemaining } = stage;
    const parents = [...new Set(stage.parents)];
    const known = this.#nodes.get(stageId);
    if (tasksRemaining === 0) {
      if (known === undefined) return;
      for (const parent of known.info.parents) this.#unlink(parent, stageId);
      this.#nodes.delete(stageId);
      if (known.children.size > 0) this.#orphans.set(stageId, known.children);
      this.#dirty = true;
      return;
    }
    if (!(tasksRemaining > 0) || !(stage.meanMs >= 0)) {
      throw dispatcherErrors.BAD_STAGE({ stageId, reason: `${tasksRemaining} tasks of ${stage.meanMs} ms` });
    }
    if (parents.length > MAX_PARENTS) throw dispatcherErrors.BAD_STAGE({ stageId, reason: `${parents.length} parents, the limit is ${MAX_PARENTS}` });
    if (known === undefined && this.#nodes.size >= MAX_STAGES) throw dispatcherErrors.BAD_STAGE({ stageId, reason: `there are ${MAX_STAGES} stages already` });
    const tasks = stage.tasks ?? Math.max(tasksRemaining, known?.info.tasks ?? 0);
    const info: StageInfo = { stageId, parents, tasksRemaining, tasks, meanMs: stage.meanMs };
    if (known === undefined) {
      const children = this.#orphans.get(stageId) ?? new Set();
      this.#orphans.delete(stageId);
      this.#nodes.set(stageId, { info, children, rank: 0 });
    } else {
      for (const parent of known.info.parents) this.#unlink(parent, stageId);
      known.info = info;
    }
    for (const parent of parents) this.#childrenOf(parent).add(stageId);
    this.#dirty = true;
  }

  clear(): void {
    this.#nodes.clear();
    this.#orphans.clear();
  }

  /**
   * Upward rank, milliseconds: the time of the stage and of the longest way from it to the end of the job, if each stage on
   * it had all of the cluster's slots. (All the work of a stage would not do: wide stages would seem long, and go before the
   * narrow ones that everything waits for.) A cycle (a defect of who says so) counts each stage for itself.
   */
  rank(stageId: number, slots: number): number {
    if (this.#dirty || this.#slots !== slots) {
      this.#slots = slots;
      this.#rankAll();
    }
    return this.#nodes.get(stageId)?.rank ?? 0;
  }

  /** Kahn's algorithm from the leaves up: no recursion, so 10,000 stages in a row are no matter. */
  #rankAll(): void {
    this.#dirty = false;
    const open = new Map<number, number>();
    const ready: number[] = [];
    for (const [id, node] of this.#nodes) {
      node.rank = weightOf(node.info, this.#slots);
      let children = 0;
      for (const child of node.children) if (this.#nodes.has(child)) children++;
      open.set(id, children);
      if (children === 0) ready.push(id);
    }
    for (let i = 0; i < ready.length; i++) {
      const { info, rank } = this.#nodes.get(ready[i] as number) as Node;
      for (const parent of info.parents) {
        const node = this.#nodes.get(parent);
        if (node === undefined || !node.children.has(info.stageId)) continue;
        node.rank = Math.max(node.rank, weightOf(node.info, this.#slots) + rank);
        const left = (open.get(parent) as number) - 1;
        open.set(parent, left);
        if (left === 0) ready.push(parent);
      }
    }
  }

  #childrenOf(stageId: number): Set<number> {
    const node = this.#nodes.get(stageId);
    if (node !== undefined) return node.children;
    let orphans = this.#orphans.get(stageId);
    if (orphans === undefined) this.#orphans.set(stageId, (orphans = new Set()));
    return orphans;
  }

  #unlink(parent: number, child: number): void {
    const children = this.#childrenOf(parent);
    children.delete(child);
    if (children.size === 0) this.#orphans.delete(parent);
  }
}

/** Unknown durations count 1 ms a task, so that the number of tasks and stages decides. */
function weightOf({ tasksRemaining, meanMs }: StageInfo, slots: number): number {
  return Math.max(1, tasksRemaining / Math.max(1, slots)) * (meanMs > 0 ? meanMs : 1);
}
