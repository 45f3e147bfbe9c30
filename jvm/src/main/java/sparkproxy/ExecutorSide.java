package sparkproxy;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.*;
import org.apache.spark.rpc.RpcEndpointRef;
import org.apache.spark.scheduler.TaskDescription;
import org.apache.spark.scheduler.cluster.CoarseGrainedClusterMessages;
import org.apache.spark.util.SerializableBuffer;

/** Executor role: tasks from the worker enter Spark's own receive path; states of tasks go to the worker. */
public final class ExecutorSide extends Link {
  static final String LINK = "SPARK_PROXY_LINK";
  private static final int REMEMBERED = 65_536;
  private static final int MAX_EXIT_S = 3;
  /** Null: it could not be reached. */
  public static volatile ExecutorSide current;

  /** SENT to this executor's own endpoint, RUNNING, ENDED. */
  private enum Phase { SENT, RUNNING, ENDED }

  private final RpcEndpointRef self;
  /** Tasks that were launched here, the oldest first. */
  private final LinkedHashMap<Long, Phase> launched = new LinkedHashMap<>();
  /** Tasks for which there is no core yet. */
  private final LinkedHashMap<Long, ByteBuffer> waiting = new LinkedHashMap<>();
  private int running;
  /** How many run at once, as the worker says. */
  private int most = Integer.MAX_VALUE;

  private ExecutorSide(RpcEndpointRef self) {
    this.self = self;
  }

  public static void started(Object backend) {
    try {
      current = new ExecutorSide((RpcEndpointRef) Reflect.call(backend, "self"));
      current.start();
    } catch (ReflectiveOperationException e) {
      Log.warn("this executor cannot be reached by its worker: " + e);
    }
  }

  public void status(long taskId, Object state) {
    if (state.toString().equals("RUNNING")) return;
    boolean idle;
    synchronized (launched) {
      Phase before = launched.replace(taskId, Phase.ENDED);
      if (before != null && before != Phase.ENDED) running--;
      next();
      idle = waiting.isEmpty();
    }
    Frame status = new Frame(Frame.STATUS).u64(taskId).string(state);
    // Nobody waits for a word of this while there is enough to do.
    send(status, idle ? 0 : SOON_MS);
  }

  /** Begins what waits and has a core. */
  private void next() {
    while (running < most && !waiting.isEmpty()) begin(waiting.keySet().iterator().next());
  }

  private void begin(Long taskId) {
    ByteBuffer task = waiting.remove(taskId);
    if (task == null) return;
    launches(taskId, Phase.SENT);
    self.send(new CoarseGrainedClusterMessages.LaunchTask(new SerializableBuffer(task)));
  }

  private void launches(Long taskId, Phase phase) {
    running++;
    launched.put(taskId, phase);
    Map.Entry<Long, Phase> oldest = launched.entrySet().iterator().next();
    if (launched.size() > REMEMBERED && oldest.getValue() == Phase.ENDED) launched.remove(oldest.getKey());
  }

  /** True: it runs here already, or has its turn later. */
  public boolean holds(Object launch) throws IOException {
    TaskDescription task = (TaskDescription) launch;
    Long taskId = task.taskId();
    synchronized (launched) {
      if (launched.replace(taskId, Phase.SENT, Phase.RUNNING)) return false;
      if (launched.containsKey(taskId) || waiting.containsKey(taskId)) return true;
      // It came Spark's own way, perhaps from a queue that the link took along.
      if (running < most) launches(taskId, Phase.RUNNING);
      else waiting.put(taskId, TaskDescription.encode(task));
      return waiting.containsKey(taskId);
    }
  }

  /** Spark has marked it as killed: it ends as it begins. */
  public void killed(long taskId) {
    synchronized (launched) {
      begin(taskId);
    }
  }

  @Override
  InetSocketAddress address() {
    return Settings.address(System.getenv(LINK));
  }

  @Override
  Map<String, String> hello() {
    return Map.of("role", "executor", "executorId", System.getenv("SPARK_EXECUTOR_ATTRIBUTE_SPARK_PROXY_EXECUTOR"), "token", System.getenv("SPARK_PROXY_TOKEN"));
  }

  @Override
  void up(Map<String, String> welcome) {
    synchronized (launched) {
      most = Math.max(1, Integer.parseInt(welcome.get("tasks")));
    }
  }

  @Override
  void received(int type, ByteBuffer body) {
    if (type == Frame.RUN) run(body.slice());
    else if (type == Frame.STOP) exit("asked to by its worker", 0);
  }

  private void run(ByteBuffer task) {
    long taskId = task.getLong(0);
    synchronized (launched) {
      Phase before = launched.get(taskId);
      // It came Spark's own way before: if it has ended, nobody will say so again.
      if (before == Phase.ENDED) send(new Frame(Frame.STATUS).u64(taskId).string("LOST"));
      else if (before == null) waiting.put(taskId, task);
      next();
    }
  }

  /** As Spark's own executors do with their Worker: without it, this one ends, and the driver sees it lost. */
  @Override
  void down(boolean wasUp) {
    exit("its worker is gone", 1);
  }

  private static void exit(String reason, int code) {
    Log.info("the executor ends: " + reason);
    // Spark's shutdown hooks may wait for a task, or for a driver that is gone too.
    CompletableFuture.delayedExecutor(MAX_EXIT_S, TimeUnit.SECONDS).execute(() -> Runtime.getRuntime().halt(code));
    System.exit(code);
  }
}
