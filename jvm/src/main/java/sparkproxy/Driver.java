package sparkproxy;

import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Pattern;
import org.apache.spark.SecurityManager;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.ExecutorProcessLost;
import org.apache.spark.scheduler.TaskDescription;
import org.apache.spark.scheduler.cluster.*;
import org.apache.spark.scheduler.cluster.CoarseGrainedClusterMessages.*;

/**
 * Driver role: one captured SparkContext and its link to the dispatcher.
 *
 * DELIVERY: a captured task is kept until Spark hears of it from its executor. When the link breaks, or the dispatcher
 * says that it cannot deliver, it is sent to the same executor Spark's own way; the executor runs it once, whichever
 * way it comes first.
 */
public final class Driver extends Link {
  private record Captured(External executor, LaunchTask message, long since) {}

  private static final int CONNECT_WAIT_MS = 3000;
  private static final int ANSWER_MS = 250;
  private static final int[] NO_PLACES = {};
  private static final String SECRET = "spark.authenticate.secret";
  /** What names the application, what executors are started with (Spark's own isExecutorStartupConf) and what makes their process. Never the secret. */
  private static final Pattern SAID =
      Pattern.compile("spark\\.(app\\.(id|name)$|driver\\.(host|port)$|executor\\.|executorEnv\\.|task\\.cpus|rpc|network|auth(?!enticate\\.secret))");
  private static final ThreadLocal<Batch> BATCH = new ThreadLocal<>();
  /** Spark has one context at a time in a JVM. */
  public static volatile Driver current;

  final SparkContext context;
  final CoarseGrainedSchedulerBackend backend;
  private final Settings settings;
  private final String runId;
  private final Listener listener = new Listener(this);
  final Map<String, External> externals = new ConcurrentHashMap<>();
  /** Executors that Spark offers no more tasks: their workers drain. */
  private final Set<String> draining = ConcurrentHashMap.newKeySet();
  private final Map<Long, Captured> captured = new ConcurrentHashMap<>();
  /** By stage: how many of its tasks may wait at an executor for each of its cores. */
  final Map<Integer, Integer> ahead = new ConcurrentHashMap<>();
  private final CountDownLatch go = new CountDownLatch(1);
  private final AtomicReference<CompletableFuture<int[]>> asked = new AtomicReference<>();
  private volatile boolean external;

  private Driver(SparkContext context, CoarseGrainedSchedulerBackend backend) {
    this.context = context;
    this.backend = backend;
    settings = new Settings(context.getConf());
    runId = settings.get("run.id", UUID.randomUUID().toString());
    external = !"internal".equals(settings.get("reschedule.dst.executor", "external"));
  }

  public static void contextCreated(Object made) {
    SparkContext context = (SparkContext) made;
    if (!(context.schedulerBackend() instanceof CoarseGrainedSchedulerBackend backend)) {
      Log.info("master " + context.master() + " launches no tasks on executors; nothing is re-routed");
      return;
    }
    Driver driver = new Driver(context, backend);
    current = driver;
    context.addSparkListener(driver.listener);
    driver.start();
    driver.awaitExecutors();
  }

  private void awaitExecutors() {
    try {
      if (go.await(CONNECT_WAIT_MS, TimeUnit.MILLISECONDS)) return;
      // For how long is the dispatcher's to say.
      if (isUp()) go.await();
      else Log.warn("no dispatcher yet; tasks run inside until there is one: " + problem);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  void ended() {
    close();
    if (current == this) current = null;
  }

  boolean isRerouting() {
    return external && isUp();
  }

  /** External executors only while there are any, internal ones only while there are none or the mode says so. */
  public boolean mayOffer(String id) throws ReflectiveOperationException {
    External known = externals.get(id);
    if (known != null) return external && !draining.contains(id);
    ExecutorData data = (ExecutorData) Reflect.lookup(Reflect.call(backend, "executorDataMap"), id);
    if (data == null) return true;
    Object worker = Reflect.lookup(data.attributes(), "SPARK_PROXY_WORKER");
    if (worker != null) {
      External one = new External(id, worker.toString(), data);
      // Its cores are counted from the moment it has started; until then nobody is kept waiting for it.
      if (one.freeCores() > 0) {
        externals.put(id, one);
        attached(one);
      }
      return external;
    }
    // Executors of another resource profile serve stages that no external executor can.
    return !external || data.resourceProfileId() != 0 || draining.containsAll(externals.keySet());
  }

  private void attached(External one) {
    send(Frame.event("attached", one.id(), one.worker(), one.data().executorHost(), one.data().totalCores()));
  }

  void detached(String executorId) {
    External gone = externals.remove(executorId);
    draining.remove(executorId);
    if (gone == null) return;
    captured.values().removeIf(task -> task.executor == gone);
    backend.reviveOffers();
  }

  /** What one call of launchTasks captures leaves as one frame. */
  private final class Batch {
    final Map<Long, TaskDescription> launches = new HashMap<>();
    final Frame frame = new Frame(Frame.TASKS);
    final List<Long> taken = new ArrayList<>();

    boolean take(LaunchTask message) {
      ByteBuffer bytes = message.data().value();
      TaskDescription task = launches.get(bytes.getLong(bytes.position()));
      External executor = task == null ? null : externals.get(task.executorId());
      if (executor == null) return false;
      frame.u64(task.taskId()).u32(task.attemptNumber()).u32(task.index()).string(executor.id()).string(task.name()).blob(bytes);
      captured.put(task.taskId(), new Captured(executor, message, System.nanoTime()));
      return taken.add(task.taskId());
    }

    void leave() {
      if (!taken.isEmpty() && !send(frame)) taken.forEach(Driver.this::fallBack);
    }
  }

  public void launchBegins(Object tasks) {
    Batch batch = new Batch();
    for (Object group : Reflect.each(tasks)) {
      for (Object one : Reflect.each(group)) {
        TaskDescription task = (TaskDescription) one;
        batch.launches.put(task.taskId(), task);
        // Spark SQL puts its whole configuration into the properties of its tasks, with the secret of RPC, which no task needs.
        task.properties().remove(SECRET);
        if (!isRerouting() && externals.containsKey(task.executorId())) send(Frame.event("direct", task.executorId()));
      }
    }
    if (isRerouting()) BATCH.set(batch);
  }

  public static void launchEnds() {
    Batch batch = BATCH.get();
    BATCH.remove();
    if (batch != null) batch.leave();
  }

  /** True: a launch that goes to the dispatcher. */
  public boolean captures(Object message) {
    Batch batch = BATCH.get();
    if (batch != null && message instanceof LaunchTask launch) return batch.take(launch);
    // The executor hears it from Spark; the dispatcher need not keep the task for it.
    if (message instanceof KillTask kill && externals.containsKey(kill.executor())) send(Frame.event("kill", kill.taskId(), kill.reason()));
    return false;
  }

  /** Sent Spark's own way, to the executor it was meant for, unless Spark has heard of it. */
  private void fallBack(long taskId) {
    Captured task = captured.remove(taskId);
    if (task == null) return;
    task.executor.data().executorEndpoint().send(task.message);
    send(Frame.event("fallenBack", taskId, task.executor.id()));
  }

  public void confirmed(long taskId) {
    Captured task = captured.remove(taskId);
    if (task != null) send(Frame.event("started", taskId, (System.nanoTime() - task.since) / 1000), SOON_MS);
  }

  /** The index of the executor for each task that was asked about; none: as Spark has it. Not asked again before there is an answer. */
  int[] choose(Frame question) {
    CompletableFuture<int[]> answer = new CompletableFuture<>();
    if (!asked.compareAndSet(null, answer)) return NO_PLACES;
    if (!send(question)) answered(NO_PLACES);
    return answer.completeOnTimeout(NO_PLACES, ANSWER_MS, TimeUnit.MILLISECONDS).join();
  }

  private void answered(int[] places) {
    CompletableFuture<int[]> answer = asked.getAndSet(null);
    if (answer != null) answer.complete(places);
  }

  @Override
  InetSocketAddress address() {
    return settings.dispatcher();
  }

  @Override
  byte[] key() {
    return settings.key();
  }

  @Override
  Map<String, String> hello() {
    Map<String, String> hello = new HashMap<>();
    for (scala.Tuple2<String, String> one : context.getConf().getAll()) if (SAID.matcher(one._1()).lookingAt()) hello.put(one._1(), one._2());
    hello.put("role", "driver");
    hello.put("runId", runId);
    hello.put("user", context.sparkUser());
    hello.put("pid", String.valueOf(ProcessHandle.current().pid()));
    hello.put("sparkVersion", context.version());
    hello.put("scalaVersion", scala.util.Properties.versionNumberString());
    hello.put("mode", external ? "external" : "internal");
    context.uiWebUrl().foreach(url -> hello.put("uiUrl", url));
    // Typed: not every class that SecurityManager's methods name is there in every distribution, and reflection would want them all.
    SecurityManager manager = context.env().securityManager();
    String secret = manager.isAuthenticationEnabled() ? manager.getSecretKey() : null;
    hello.put("authenticated", String.valueOf(secret != null));
    if (secret != null && key() != null) hello.put("authSecret", secret);
    return hello;
  }

  @Override
  void up(Map<String, String> welcome) {
    Log.info("linked to dispatcher " + welcome.get("dispatcher") + " as " + welcome.get("application"));
    listener.told = welcome;
    externals.values().forEach(this::attached);
    backend.reviveOffers();
  }

  @Override
  void down(boolean wasUp) {
    if (!wasUp || context.isStopped()) return;
    List<Long> unconfirmed = new ArrayList<>(captured.keySet());
    Log.warn("the link is down; tasks go Spark's own way (" + unconfirmed.size() + " of them had not arrived)");
    unconfirmed.forEach(this::fallBack);
    answered(NO_PLACES);
    ahead.clear();
    go.countDown();
  }

  @Override
  void received(int type, ByteBuffer body) {
    switch (type) {
      case Frame.GO -> go.countDown();
      case Frame.CHOICE -> {
        int[] places = new int[body.remaining() / 4];
        body.asIntBuffer().get(places);
        answered(places);
      }
      case Frame.FALLBACK -> {
        while (body.hasRemaining()) fallBack(body.getLong());
      }
      case Frame.MODE -> {
        external = body.get() != 0;
        go.countDown();
        backend.reviveOffers();
      }
      case Frame.OFFER -> {
        String executorId = Frame.readString(body);
        if (body.get() != 0) draining.remove(executorId);
        else draining.add(executorId);
        backend.reviveOffers();
      }
      case Frame.AHEAD -> {
        int stage = body.getInt();
        int tasks = body.getInt();
        if (tasks > 0) ahead.put(stage, tasks);
        else ahead.remove(stage);
      }
      case Frame.LOST -> backend.removeExecutor(Frame.readString(body), new ExecutorProcessLost(Frame.readString(body), scala.Option.empty(), true));
      case Frame.STOP -> {
        Log.info("the context is stopped from outside: " + Frame.readString(body));
        new Thread(context::stop, "spark-proxy-stop").start();
      }
      case Frame.KILL_TASK -> context.killTaskAttempt(body.getLong(), body.get() != 0, Frame.readString(body));
      default -> Log.debug("a frame of unknown type " + type + " was ignored");
    }
  }
}
