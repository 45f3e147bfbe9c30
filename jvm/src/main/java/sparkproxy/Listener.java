package sparkproxy;

import org.apache.spark.SparkContext;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.scheduler.TaskInfo;

/** Spark's listener events as lists of strings; src/apache-spark/events.ts gives them types. */
final class Listener extends SparkListener {
  private static final int MAX_TEXT = 2000;
  private final Driver driver;

  Listener(Driver driver) {
    this.driver = driver;
  }

  private void tell(Object... words) {
    Frame frame = new Frame(Frame.EVENT).u32(words.length);
    for (Object word : words) {
      String text = String.valueOf(word);
      frame.string(text.length() > MAX_TEXT ? text.substring(0, MAX_TEXT) : text);
    }
    driver.send(frame);
  }

  private static String joined(Object sequence) {
    try {
      return String.valueOf(Reflect.call(sequence, "mkString", ","));
    } catch (ReflectiveOperationException e) {
      return "";
    }
  }

  /** Spark's RPC secret, if authentication is on. */
  static String secret(SparkContext context) {
    try {
      Object manager = Reflect.call(context.env(), "securityManager");
      return (boolean) Reflect.call(manager, "isAuthenticationEnabled") ? (String) Reflect.call(manager, "getSecretKey") : null;
    } catch (ReflectiveOperationException e) {
      Log.warn("the authentication secret cannot be read: " + e);
      return null;
    }
  }

  @Override
  public void onJobStart(SparkListenerJobStart event) {
    try {
      Object stages = Reflect.call(event, "stageIds");
      tell("jobStart", event.jobId(), event.time(), joined(stages));
    } catch (ReflectiveOperationException e) {
      tell("jobStart", event.jobId(), event.time(), "");
    }
  }

  @Override
  public void onJobEnd(SparkListenerJobEnd event) {
    String result = String.valueOf(event.jobResult());
    tell("jobEnd", event.jobId(), event.time(), result.equals("JobSucceeded") ? "" : result);
  }

  @Override
  public void onStageSubmitted(SparkListenerStageSubmitted event) {
    StageInfo stage = event.stageInfo();
    tell("stageSubmitted", stage.stageId(), stage.attemptNumber(), stage.name(), stage.numTasks());
  }

  @Override
  public void onStageCompleted(SparkListenerStageCompleted event) {
    StageInfo stage = event.stageInfo();
    tell("stageCompleted", stage.stageId(), stage.attemptNumber(), stage.name(), stage.numTasks(), stage.failureReason().isDefined() ? stage.failureReason().get() : "");
  }

  @Override
  public void onTaskStart(SparkListenerTaskStart event) {
    TaskInfo task = event.taskInfo();
    tell("taskStart", task.taskId(), event.stageId(), event.stageAttemptId(), task.index(), task.attemptNumber(), task.executorId(), task.host(), task.taskLocality(), task.speculative());
  }

  @Override
  public void onTaskEnd(SparkListenerTaskEnd event) {
    TaskInfo task = event.taskInfo();
    TaskMetrics metrics = event.taskMetrics();
    String reason = String.valueOf(event.reason());
    tell("taskEnd", task.taskId(), event.stageId(), event.stageAttemptId(), task.index(), task.attemptNumber(), task.executorId(), task.host(), task.status(), task.duration(),
        metrics == null ? 0 : metrics.executorRunTime(), metrics == null ? 0 : metrics.resultSize(), reason.equals("Success") ? "" : reason);
  }

  @Override
  public void onExecutorAdded(SparkListenerExecutorAdded event) {
    tell("executorAdded", event.executorId(), event.executorInfo().executorHost(), Reflect.coresOf(event.executorInfo()), driver.externals().containsKey(event.executorId()));
  }

  @Override
  public void onExecutorRemoved(SparkListenerExecutorRemoved event) {
    tell("executorRemoved", event.executorId(), event.reason());
    driver.detached(event.executorId(), event.reason());
  }

  @Override
  public void onApplicationEnd(SparkListenerApplicationEnd event) {
    tell("applicationEnd", event.time());
    driver.ended();
  }
}
