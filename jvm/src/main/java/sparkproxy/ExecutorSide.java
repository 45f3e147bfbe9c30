package sparkproxy;

import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.*;
import org.apache.spark.rpc.RpcEndpointRef;
import org.apache.spark.scheduler.TaskDescription;
import org.apache.spark.scheduler.cluster.CoarseGrainedClusterMessages;
import org.apache.spark.util.SerializableBuffer;

/** Executor role: tasks from the worker enter Spark's own receive path; states of tasks go to the worker. */
public final class ExecutorSide implements Link.Handler {
  static final String LINK = "SPARK_PROXY_LINK";
  private static final int REMEMBERED = 65_536;
  private static final int MAX_EXIT_MS = 3000;
  private static volatile ExecutorSide current;

  private final RpcEndpointRef self;
  private final Link link;
  /** Tasks that were launched here, and whether they have ended. */
  private final LinkedHashMap<Long, Boolean> launched = new LinkedHashMap<>();

  private ExecutorSide(RpcEndpointRef self) {
    this.self = self;
    InetSocketAddress worker = Settings.address(System.getenv(LINK));
    link = new Link(() -> worker, this, () -> null, false);
  }

  public static void started(Object backend) {
    try {
      ExecutorSide side = new ExecutorSide((RpcEndpointRef) Reflect.call(backend, "self"));
      current = side;
      side.link.start();
    } catch (ReflectiveOperationException e) {
      Log.warn("this executor cannot be reached by its worker: " + e);
    }
  }

  public static void status(long taskId, Object state) {
    ExecutorSide side = current;
    if (side == null) return;
    String text = String.valueOf(state);
    if (!text.equals("RUNNING")) {
      synchronized (side.launched) {
        side.launched.replace(taskId, true);
      }
    }
    side.tell(taskId, text);
  }

  private void tell(long taskId, String state) {
    link.send(new Frame(Frame.STATUS).u64(taskId).string(state));
  }

  public static boolean isRepeated(Object task) {
    ExecutorSide side = current;
    if (side == null) return false;
    synchronized (side.launched) {
      if (side.launched.putIfAbsent(((TaskDescription) task).taskId(), false) != null) return true;
      if (side.launched.size() > REMEMBERED) side.launched.remove(side.launched.keySet().iterator().next());
    }
    return false;
  }

  @Override
  public Map<String, String> hello() {
    Map<String, String> hello = new HashMap<>();
    hello.put("role", "executor");
    hello.put("executorId", String.valueOf(System.getenv("SPARK_EXECUTOR_ATTRIBUTE_SPARK_PROXY_EXECUTOR")));
    hello.put("token", String.valueOf(System.getenv("SPARK_PROXY_TOKEN")));
    return hello;
  }

  @Override
  public void up(Map<String, String> welcome) {
    Log.debug("linked to the worker");
  }

  @Override
  public void received(int type, ByteBuffer body) {
    if (type == Frame.RUN) {
      for (int left = body.getInt(); left > 0; left--) {
        ByteBuffer task = ByteBuffer.wrap(Frame.readBlob(body));
        long taskId = task.getLong(0);
        Boolean ended;
        synchronized (launched) {
          ended = launched.get(taskId);
        }
        // It came Spark's own way before: if it has ended, nobody will say so again.
        if (ended == null) self.send(new CoarseGrainedClusterMessages.LaunchTask(new SerializableBuffer(task)));
        else if (ended) tell(taskId, "LOST");
      }
    } else if (type == Frame.STOP) {
      exit("asked to by its worker", 0);
    }
  }

  /** As Spark's own executors do with their Worker: without it, this one ends, and the driver sees it lost. */
  @Override
  public void down() {
    exit("its worker is gone", 1);
  }

  private static void exit(String reason, int code) {
    Log.info("the executor ends: " + reason);
    Thread thread = new Thread(() -> System.exit(code), "spark-proxy-exit");
    thread.setDaemon(true);
    thread.start();
    // Spark's shutdown hooks may wait for a task, or for a driver that is gone too.
    try {
      thread.join(MAX_EXIT_MS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    Runtime.getRuntime().halt(code);
  }
}
