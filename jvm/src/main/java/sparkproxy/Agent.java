package sparkproxy;

import static net.bytebuddy.matcher.ElementMatchers.*;

import java.lang.instrument.Instrumentation;
import net.bytebuddy.agent.builder.AgentBuilder;
import net.bytebuddy.asm.Advice;
import net.bytebuddy.description.method.MethodDescription;
import net.bytebuddy.matcher.ElementMatcher;

/**
 * {@code -javaagent:spark-proxy-agent.jar}: weaves the join points of one role. An executor that a spark-proxy worker
 * started knows it by its environment; every other JVM may become a driver. It decides nothing: what it captures goes
 * over the {@link Link}, and what comes back is done.
 */
public final class Agent {
  private static final String SCHEDULER = "org.apache.spark.scheduler.";
  private static final String BACKEND = SCHEDULER + "cluster.CoarseGrainedSchedulerBackend";
  private static final String EXECUTOR = "org.apache.spark.executor.";

  private Agent() {}

  public static void premain(String arguments, Instrumentation instrumentation) {
    Settings.agentArguments(arguments);
    AgentBuilder builder = new AgentBuilder.Default().disableClassFormatChanges().with(new Failures());
    if (System.getenv(ExecutorSide.LINK) != null) {
      builder = weave(builder, EXECUTOR + "CoarseGrainedExecutorBackend", named("onStart"), Advices.OnStart.class);
      builder = weave(builder, EXECUTOR + "CoarseGrainedExecutorBackend", named("statusUpdate").and(takesArguments(3)), Advices.StatusUpdate.class);
      builder = weave(builder, EXECUTOR + "Executor", named("launchTask").and(takesArguments(2)), Advices.LaunchTask.class);
      builder = weave(builder, EXECUTOR + "Executor", named("killTask").and(takesArguments(3)), Advices.KillTask.class);
    } else {
      ElementMatcher<MethodDescription> primary = isConstructor().and(takesArguments(1)).and(takesArgument(0, named("org.apache.spark.SparkConf")));
      builder = weave(builder, "org.apache.spark.SparkContext", primary, Advices.NewContext.class);
      builder = weave(builder, BACKEND, named("isExecutorActive").and(takesArguments(1)), Advices.IsExecutorActive.class);
      builder = weave(builder, "org.apache.spark.rpc.netty.NettyRpcEndpointRef", named("send").and(takesArguments(1)), Advices.Send.class);
      builder = weave(builder, BACKEND + "$DriverEndpoint", nameEndsWith("launchTasks").and(takesArguments(1)), Advices.LaunchTasks.class);
      builder = weave(builder, SCHEDULER + "TaskSchedulerImpl", named("resourceOffers").and(takesArguments(2)), Advices.ResourceOffers.class);
      builder = weave(builder, SCHEDULER + "TaskSchedulerImpl", named("statusUpdate").and(takesArguments(3)), Advices.Heard.class);
      builder = weave(builder, SCHEDULER + "DAGScheduler", named("taskStarted").and(takesArguments(2)), Advices.TaskStarted.class);
    }
    builder.installOn(instrumentation);
  }

  private static AgentBuilder weave(AgentBuilder builder, String type, ElementMatcher<? super MethodDescription> method, Class<?> advice) {
    return builder.type(named(type)).transform((made, description, loader, module, domain) -> made.visit(Advice.to(advice).on(method)));
  }

  /** A join point that cannot be woven is said, and Spark goes on without it. */
  private static final class Failures extends AgentBuilder.Listener.Adapter {
    @Override
    public void onError(String type, ClassLoader loader, net.bytebuddy.utility.JavaModule module, boolean loaded, Throwable cause) {
      Log.warn("cannot weave " + type + ": " + cause);
    }
  }
}
