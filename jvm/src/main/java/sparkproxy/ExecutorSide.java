package sparkproxy;

import java.io.IOException;
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

  /** SENT to this executor's own endpoint, RUNNING, ENDED. */
  private enum Phase { SENT, RUNNING, ENDED }

  private final RpcEndpointRef self;
  private final Link link;
  /** Tasks that were launched here, the oldest first. */
  private final LinkedHashMap<Long, Phase> launched = new LinkedHashMap<>();
  /** Tasks for which there is no core yet. */
  private final LinkedHashMap<Long, ByteBuffer> waiting = new LinkedHashMap<>();
  private final Map<Integer, byte[]> bases = Delta.latest(Delta.BASES);
  private int running;
  /** How many run at once, as the worker says. */
  private int most = Integer.MAX_VALUE;

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
    String text = String.valueOf(state);
    if (side == null || text.equals("RUNNING")) return;
    boolean idle;
    synchronized (side.launched) {
      Phase before = side.launched.replace(taskId, Phase.ENDED);
      if (before != null && before != Phase.ENDED) side.running--;
      side.next();
      idle = side.waiting.isEmpty();
    }
    side.tell(taskId, text, idle);
  }

  /** Nobody waits for a word of this while there is enough to do. */
  private void tell(long taskId, String state, boolean now) {
    Frame frame = new Frame(Frame.STATUS).u64(taskId).string(state);
    if (now) link.send(frame);
    else link.sendSoon(frame);
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
  public static boolean isHeld(Object launch) throws IOException {
    ExecutorSide side = current;
    if (side == null) return false;
    TaskDescription task = (TaskDescription) launch;
    Long taskId = task.taskId();
    synchronized (side.launched) {
      if (side.launched.replace(taskId, Phase.SENT, Phase.RUNNING)) return false;
      if (side.launched.containsKey(taskId) || side.waiting.containsKey(taskId)) return true;
      // It came Spark's own way, perhaps from a queue that the link took along.
      if (side.running < side.most) side.launches(taskId, Phase.RUNNING);
      else side.waiting.put(taskId, TaskDescription.encode(task));
      return side.waiting.containsKey(taskId);
    }
  }

  /** Spark has marked it as killed: it ends as it begins. */
  public static void killed(long taskId) {
    ExecutorSide side = current;
    if (side == null) return;
    synchronized (side.launched) {
      side.begin(taskId);
    }
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
    synchronized (launched) {
      most = Math.max(1, Integer.parseInt(welcome.get("tasks")));
    }
  }

  @Override
  public void received(int type, ByteBuffer body) {
    if (type == Frame.RUN) {
      for (int left = body.getInt(); left > 0; left--) {
        byte[] base = bases.get(body.getInt());
        byte[] bytes = Frame.readBlob(body);
        ByteBuffer task = base == null ? ByteBuffer.wrap(bytes) : Delta.apply(base, bytes);
        long taskId = task.getLong(0);
        synchronized (launched) {
          Phase before = launched.get(taskId);
          // It came Spark's own way before: if it has ended, nobody will say so again.
          if (before == Phase.ENDED) tell(taskId, "LOST", true);
          else if (before == null) waiting.put(taskId, task);
          next();
        }
      }
    } else if (type == Frame.BASE) {
      bases.put(body.getInt(), Frame.readBlob(body));
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
