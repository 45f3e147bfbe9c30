package sparkproxy;

import net.bytebuddy.asm.Advice;
import net.bytebuddy.implementation.bytecode.assign.Assigner.Typing;

/** What is woven. Inlined by Byte Buddy; all work is in {@link Driver}, {@link Wave} and {@link ExecutorSide}. */
public final class Advices {
  private Advices() {}

  /** Driver, {@code new SparkContext(conf)}: captured under its run id. */
  public static final class NewContext {
    @Advice.OnMethodExit(suppress = Throwable.class)
    public static void exit(@Advice.This Object context) {
      Driver.contextCreated(context);
    }
  }

  /** Driver, {@code isExecutorActive(id)}: which executors are offered tasks. */
  public static final class IsExecutorActive {
    @Advice.OnMethodExit(suppress = Throwable.class)
    public static void exit(@Advice.Argument(0) String id, @Advice.Return(readOnly = false) boolean active) throws ReflectiveOperationException {
      Driver driver = Driver.current;
      if (driver != null && active) active = driver.mayOffer(id);
    }
  }

  /** Driver, {@code NettyRpcEndpointRef.send(message)}: launches on external executors are captured. */
  public static final class Send {
    @Advice.OnMethodEnter(suppress = Throwable.class, skipOn = Advice.OnNonDefaultValue.class)
    public static boolean enter(@Advice.Argument(0) Object message) {
      Driver driver = Driver.current;
      return driver != null && driver.captures(message);
    }
  }

  /** Driver, {@code launchTasks(tasks)}: a batch boundary; what was captured inside leaves as one frame. */
  public static final class LaunchTasks {
    @Advice.OnMethodEnter(suppress = Throwable.class)
    public static void enter(@Advice.Argument(value = 0, typing = Typing.DYNAMIC) Object tasks) {
      Driver driver = Driver.current;
      if (driver != null) driver.launchBegins(tasks);
    }

    @Advice.OnMethodExit(suppress = Throwable.class, onThrowable = Throwable.class)
    public static void exit() {
      Driver.launchEnds();
    }
  }

  /** Driver, {@code resourceOffers(offers, all)}: more is offered than is free; when Spark has filled it, the selector is asked, before anyone is told. */
  public static final class ResourceOffers {
    @Advice.OnMethodEnter(suppress = Throwable.class)
    public static void enter(@Advice.This Object scheduler, @Advice.Argument(value = 0, typing = Typing.DYNAMIC) Object offers) throws ReflectiveOperationException {
      Wave.begin(scheduler, offers);
    }

    @Advice.OnMethodExit(suppress = Throwable.class, onThrowable = Throwable.class)
    public static void exit(@Advice.Return(typing = Typing.DYNAMIC) Object tasks) throws Exception {
      Wave.end(tasks);
    }
  }

  /** Driver, {@code DAGScheduler.taskStarted(task, info)}: told when the task's place is final. */
  public static final class TaskStarted {
    @Advice.OnMethodEnter(suppress = Throwable.class, skipOn = Advice.OnNonDefaultValue.class)
    public static boolean enter(@Advice.This Object dag, @Advice.Argument(0) Object task, @Advice.Argument(1) Object info) {
      return Wave.postpone(dag, task, info);
    }
  }

  /** Driver, {@code TaskSchedulerImpl.statusUpdate(id, state, data)}: the task has arrived at its executor. */
  public static final class Heard {
    @Advice.OnMethodEnter(suppress = Throwable.class)
    public static void enter(@Advice.Argument(0) long taskId) {
      Driver driver = Driver.current;
      if (driver != null) driver.confirmed(taskId);
    }
  }

  /** Executor, {@code CoarseGrainedExecutorBackend.onStart}: it lives, and connects to its worker. */
  public static final class OnStart {
    @Advice.OnMethodExit(suppress = Throwable.class)
    public static void exit(@Advice.This Object backend) {
      ExecutorSide.started(backend);
    }
  }

  /** Executor, {@code CoarseGrainedExecutorBackend.statusUpdate(taskId, state, data)}: the worker hears the state; the driver hears it from Spark. */
  public static final class StatusUpdate {
    @Advice.OnMethodExit(suppress = Throwable.class)
    public static void exit(@Advice.Argument(0) long taskId, @Advice.Argument(1) Object state) {
      ExecutorSide side = ExecutorSide.current;
      if (side != null) side.status(taskId, state);
    }
  }

  /** Executor, {@code Executor.launchTask(backend, task)}: a task that came twice (relayed, and Spark's own way) runs once, and when there is a core. */
  public static final class LaunchTask {
    @Advice.OnMethodEnter(suppress = Throwable.class, skipOn = Advice.OnNonDefaultValue.class)
    public static boolean enter(@Advice.Argument(1) Object task) throws java.io.IOException {
      ExecutorSide side = ExecutorSide.current;
      return side != null && side.holds(task);
    }
  }

  /** Executor, {@code Executor.killTask(id, interrupt, reason)}: one that waits here begins, and ends at once as killed. */
  public static final class KillTask {
    @Advice.OnMethodExit(suppress = Throwable.class)
    public static void exit(@Advice.Argument(0) long taskId) {
      ExecutorSide side = ExecutorSide.current;
      if (side != null) side.killed(taskId);
    }
  }
}
