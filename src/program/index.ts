import { SparkContext } from '../scheduler/spark-context.ts';
import { discoverService } from './services.ts';
import '../dataset/index.ts';

export type * from './contract.ts';
export { defineProgram, SparkProgram } from './program.ts';
export { createRuntime, type RuntimeOptions } from './runtime.ts';
export { announceService, discoverService } from './services.ts';
export { defineWorkflow, type Workflow, type WorkflowBuilder } from './workflow.ts';

declare module '../scheduler/spark-context.ts' {
  interface SparkContext {
    /** Base URL of a running service, or undefined. */
    discoverService(name: string): string | undefined;
  }
}

SparkContext.prototype.discoverService = function (this: SparkContext, name: string): string | undefined {
  return discoverService(this.configuration.get('program.home'), name);
};
