import type { StartOptions, WorkflowToken } from './contract.ts';
import { PROGRAM_ERRORS } from './errors.ts';

type Awaitable<T> = T | Promise<T>;

export type WorkflowNode =
  | { readonly kind: 'program'; readonly name: string; readonly file: string; readonly options: StartOptions }
  | { readonly kind: 'action'; readonly name: string; readonly action: (token: WorkflowToken, signal: AbortSignal) => Awaitable<void> }
  | { readonly kind: 'fork'; readonly name: string; readonly branches: readonly (readonly WorkflowNode[])[] }
  | {
      readonly kind: 'condition';
      readonly name: string;
      readonly test: (token: WorkflowToken) => Awaitable<boolean>;
      readonly whenTrue: readonly WorkflowNode[];
      readonly otherwise: readonly WorkflowNode[];
    };

const WORKFLOW = Symbol.for('spark-proxy.workflow');

export interface Workflow {
  readonly name: string;
  readonly nodes: readonly WorkflowNode[];
}

export function isWorkflow(value: unknown): value is Workflow {
  return typeof value === 'object' && value !== null && WORKFLOW in value;
}

/** Says what runs, one after another; each call adds a node. */
export class WorkflowBuilder {
  readonly nodes: WorkflowNode[] = [];
  readonly #names: Set<string>;

  constructor(names = new Set<string>()) {
    this.#names = names;
  }

  /** A program, by its file (`path#Name`, relative to the workflow's). `name` names the node. @defaultValue its file name */
  program(file: string, options: StartOptions & { readonly node?: string } = {}): this {
    const { node, ...rest } = options;
    const base = (file.split('/').at(-1) as string).replace(/\.[cm]?[jt]s(?=#|$)/, '');
    return this.#add({ kind: 'program', name: this.#unique(node ?? base), file, options: rest });
  }

  /** A function, run in the workflow's own thread. */
  action(name: string, action: (token: WorkflowToken, signal: AbortSignal) => Awaitable<void>): this {
    return this.#add({ kind: 'action', name: this.#unique(name), action });
  }

  /** Branches run side by side; what follows waits for all. When one fails the others are stopped. */
  fork(...branches: readonly ((branch: WorkflowBuilder) => unknown)[]): this {
    return this.#add({ kind: 'fork', name: this.#unique('fork'), branches: branches.map((branch) => this.#nested(branch)) });
  }

  when(test: (token: WorkflowToken) => Awaitable<boolean>, then: (branch: WorkflowBuilder) => unknown, otherwise?: (branch: WorkflowBuilder) => unknown): this {
    return this.#add({
      kind: 'condition',
      name: this.#unique('condition'),
      test,
      whenTrue: this.#nested(then),
      otherwise: otherwise === undefined ? [] : this.#nested(otherwise),
    });
  }

  #nested(build: (branch: WorkflowBuilder) => unknown): readonly WorkflowNode[] {
    const branch = new WorkflowBuilder(this.#names);
    build(branch);
    return branch.nodes;
  }

  /** Token values and records tell nodes by name. */
  #unique(name: string): string {
    let unique = name;
    for (let n = 2; this.#names.has(unique); n++) unique = `${name}-${n}`;
    this.#names.add(unique);
    return unique;
  }

  #add(node: WorkflowNode): this {
    this.nodes.push(node);
    return this;
  }
}

/**
 * `export default defineWorkflow('nightly', (w) => w.program('./load.ts').fork((a) => a.program('./a.ts'), (b) => b.program('./b.ts')))`
 * @throws SP_PROGRAM_BAD_DEFINITION
 */
export function defineWorkflow(name: string, build: (workflow: WorkflowBuilder) => unknown): Workflow {
  if (!/^[\w.-]{1,128}$/.test(name))
    throw PROGRAM_ERRORS.BAD_DEFINITION({ what: `workflow ${name}`, reason: 'its name has letters, digits, dots and dashes only' });
  const builder = new WorkflowBuilder();
  build(builder);
  if (builder.nodes.length === 0) throw PROGRAM_ERRORS.BAD_DEFINITION({ what: `workflow ${name}`, reason: 'it has no nodes' });
  const workflow: Workflow = { name, nodes: builder.nodes };
  Object.defineProperty(workflow, WORKFLOW, { value: true });
  return workflow;
}
