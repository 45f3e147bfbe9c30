export { advertiseDispatcher } from './advertise.ts';
export type { SparkApplicationInfo, SparkExecutor, SparkFigures, SparkPort, WorkerFigures } from './application.ts';
export type { AgentEvent, SparkEvent } from './events.ts';
export { agentJar, splitOptions } from './executor-command.ts';
export { pinSparkTasks, SPARK_KIND } from './placement.ts';
export { openForWorker, sealForWorkers } from './secret.ts';
export { startAgentService, type AgentService, type AgentServiceOptions } from './service.ts';
export { createSparkRunner, type SparkRunner, type SparkRunnerOptions } from './spark-runner.ts';
export { inspectHome, VERSIONS_LABEL, type SparkInstallation } from './versions.ts';
