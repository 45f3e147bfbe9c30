import type { Configurer, ProgramDefinition, ProgramEnd, SparkExecutionContext } from './contract.ts';

/** `instanceof` that survives several copies of the package. */
const PROGRAM = Symbol.for('spark-proxy.program');

/**
 * The class form of a program. Its constructor may take the run's SparkContext, which the runtime then makes:
 * `constructor(sc: SparkContext)`.
 */
export abstract class SparkProgram implements ProgramDefinition {
  get [PROGRAM](): true {
    return true;
  }

  /** Settings and datasets; called once a run, before its context. A class whose constructor takes a context has it static. */
  configure?(configurer: Configurer): void;
  initialize?(sec: SparkExecutionContext): Promise<void> | void;
  abstract run(sec: SparkExecutionContext): unknown;
  destroy?(end: ProgramEnd): Promise<void> | void;
}

export type ProgramClass = (new (...args: never[]) => ProgramDefinition) & { configure?(configurer: Configurer): void };

const defined = Symbol.for('spark-proxy.program.definition');

/** The functional form of a program: `export default defineProgram({ async run(sec) { ... } })`. */
export function defineProgram<D extends ProgramDefinition>(definition: D): D {
  Object.defineProperty(definition, defined, { value: true });
  return definition;
}

export function isProgramDefinition(value: unknown): value is ProgramDefinition {
  return typeof value === 'object' && value !== null && defined in value;
}

export function isProgramClass(value: unknown): value is ProgramClass {
  return typeof value === 'function' && typeof value.prototype === 'object' && value.prototype !== null && PROGRAM in value.prototype;
}
