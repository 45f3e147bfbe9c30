import { defineErrors } from '../core/errors.ts';

export const sparkErrors = defineErrors('SPARK', {
  LINK_REFUSED: [
    'the agent link at {remote} was refused: {reason}',
    'check that both sides have the same key (SPARK_PROXY_KEY_FILE) and versions of spark-proxy that go together',
  ],
  LISTEN_FAILED: [
    'the agent link cannot listen on {host}:{port}: {reason}',
    'another process may hold the port: name a free one by agent.listen or --agent-port',
  ],
  MALFORMED_FRAME: [
    'a frame of the agent link is malformed: {reason}',
    'something else than the agent speaks on this port, or the versions do not go together; the connection was closed',
  ],
  BAD_HOME: ['{home} is no Apache Spark: {reason}', 'name a directory that holds jars/spark-core_*.jar in --spark-home, spark.homes or SPARK_HOME'],
  NO_AGENT: ['the agent jar {file} is missing', 'build it with npm run build:jvm (needs Java 17 and Maven), or use the published package, which ships it'],
  NO_VERSION: ['no installed Apache Spark fits version {wanted}; this worker has {known}', 'install that version and name it in --spark-home or spark.homes'],
  NO_MEMORY: [
    'an executor of {application} needs {needed} MiB and this worker has {free} MiB to offer',
    'raise worker.spark.memory, or lower spark.executor.memory of the application',
  ],
  NO_SECRET: [
    '{application} uses spark.authenticate, and its secret cannot reach this worker',
    'configure one cluster key (SPARK_PROXY_KEY_FILE) in driver, dispatcher and workers',
  ],
  EXECUTOR_GONE: ['executor {executor} of {name} is not here', "none: the driver sends the task to it Spark's own way, or resubmits it"],
  EXECUTOR_ENDED: ['executor {executor} of {name} has ended', 'none: the driver is told, and resubmits its tasks; why it ended is in the log of the worker'],
  TASK_FAILED: ['{name} ended as {state} on executor {executor}', 'the cause is in the driver: Spark reports and retries it'],
});
