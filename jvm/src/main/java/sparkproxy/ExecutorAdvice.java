package sparkproxy;

import net.bytebuddy.asm.Advice;

/** What is woven into an executor that a worker of spark-proxy started. Inlined by Byte Buddy; all work is in {@link ExecutorSide}. */
public final class ExecutorAdvice {
  private ExecutorAdvice() {}

  /** {@code CoarseGrainedExecutorBackend.onStart}: the executor lives; it connects to its worker. */
  public static final class OnStart {
    @Advice.OnMethodExit(suppress = Throwable.class)
    public static void exit(@Advice.This Object backend) {
      ExecutorSide.started(backend);
    }
  }

  /** {@code CoarseGrainedExecutorBackend.statusUpdate(taskId, state, data)}: the worker hears the state; the driver hears it from Spark. */
  public static final class StatusUpdate {
    @Advice.OnMethodExit(suppress = Throwable.class)
    public static void exit(@Advice.Argument(0) long taskId, @Advice.Argument(1) Object state) {
      ExecutorSide.status(taskId, state);
    }
  }

  /** {@code Executor.launchTask(backend, task)}: a task that came twice (relayed, and by Spark's own way) runs once. */
  public static final class LaunchTask {
    @Advice.OnMethodEnter(suppress = Throwable.class, skipOn = Advice.OnNonDefaultValue.class)
    public static boolean enter(@Advice.Argument(1) Object task) {
      return ExecutorSide.isRepeated(task);
    }
  }
}
