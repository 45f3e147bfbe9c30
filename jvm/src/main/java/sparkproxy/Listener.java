package sparkproxy;

import java.util.*;
import org.apache.spark.*;
import org.apache.spark.scheduler.*;

/** Spark's listener events as lists of words, by name of their accessors; src/apache-spark/events.ts gives them types. */
final class Listener extends SparkFirehoseListener {
  private static final int MAX_TEXT = 2000;
  private static final String STAGE = " stageInfo.stageId stageInfo.attemptNumber stageInfo.name stageInfo.numTasks stageInfo.failureReason";
  private static final String TASK =
      " taskInfo.taskId stageId stageAttemptId taskInfo.index taskInfo.attemptNumber taskInfo.executorId taskInfo.host";
  private static final Map<String, String[]> TOLD = new HashMap<>();

  static {
    tells("SparkListenerJobStart", "jobStart jobId time stageIds");
    tells("SparkListenerJobEnd", "jobEnd jobId time jobResult");
    tells("SparkListenerStageSubmitted", "stageSubmitted" + STAGE);
    tells("SparkListenerStageCompleted", "stageCompleted" + STAGE);
    tells("SparkListenerTaskStart", "taskStart" + TASK + " taskInfo.taskLocality taskInfo.speculative");
    tells("SparkListenerTaskEnd", "taskEnd" + TASK + " taskInfo.status taskInfo.duration taskMetrics.executorRunTime taskMetrics.resultSize reason");
    tells("SparkListenerExecutorAdded", "executorAdded executorId executorInfo.executorHost executorInfo.totalCores");
    tells("SparkListenerExecutorRemoved", "executorRemoved executorId reason");
    tells("SparkListenerApplicationEnd", "applicationEnd time");
  }

  private final Driver driver;

  Listener(Driver driver) {
    this.driver = driver;
  }

  private static void tells(String event, String words) {
    TOLD.put(event, words.split(" "));
  }

  @Override
  public void onEvent(SparkListenerEvent event) {
    String[] words = TOLD.get(event.getClass().getSimpleName());
    if (words == null) return;
    Frame frame = new Frame(Frame.EVENT).u32(words.length).string(words[0]);
    for (int i = 1; i < words.length; i++) {
      String text = wordOf(event, words[i]);
      frame.string(text.length() > MAX_TEXT ? text.substring(0, MAX_TEXT) : text);
    }
    // What begins and ends jobs is acted upon; of tasks there are many.
    if (words[0].startsWith("task")) driver.link.sendSoon(frame);
    else driver.link.send(frame);
    if (event instanceof SparkListenerExecutorRemoved gone) driver.detached(gone.executorId(), gone.reason());
    else if (event instanceof SparkListenerApplicationEnd) driver.ended();
  }

  /** What the path of accessors leads to; nothing: empty. */
  private static String wordOf(Object event, String path) {
    try {
      Object at = event;
      for (String name : path.split("\\.")) at = at == null ? null : Reflect.call(at, name);
      if (at instanceof scala.Option<?> option) at = option.isDefined() ? option.get() : null;
      if (path.equals("stageIds")) at = Reflect.call(at, "mkString", ",");
      return at == null ? "" : String.valueOf(at);
    } catch (ReflectiveOperationException e) {
      return "";
    }
  }
}
