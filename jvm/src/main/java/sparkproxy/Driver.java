package sparkproxy;

import java.net.*;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.Pattern;
import org.apache.spark.SecurityManager;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
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
public final class Driver implements Link.Handler {
  private static final class Base {
    ByteBuffer task;
    int id;
  }

  private record Captured(External executor, LaunchTask message, long since) {}

  /** No longer than this does a new context wait for its first external executor; the dispatcher says when to go on. */
  private static final int MAX_WAIT_S = 180;
  private static final int CONNECT_WAIT_MS = 3000;
  /** What executors are started with; Spark's own isExecutorStartupConf, and what makes their process. Never the secret. */
  private static final Pattern EXECUTOR_SETTING =
      Pattern.compile("spark\\.(executor\\.|executorEnv\\.|task\\.cpus|rpc|network|auth(?!enticate\\.secret))");
  private static final String SECRET = "spark.authenticate.secret";
  /** Contexts by run id; Spark has one at a time in a JVM. */
  private static final Map<String, Driver> CONTEXTS = new ConcurrentHashMap<>();
  private static final ThreadLocal<List<Captured>> BATCH = new ThreadLocal<>();
  private static volatile Driver current;

  private final String runId;
  final SparkContext context;
  final CoarseGrainedSchedulerBackend backend;
  final Link link;
  final Map<String, External> externals = new ConcurrentHashMap<>();
  private final Map<Long, Captured> captured = new ConcurrentHashMap<>();
  /** The first task of each of the latest stages, and its name as a base once there is a second. */
  private final Map<String, Base> bases = Delta.latest(Delta.BASES / 4);
  private int lastBase;
  private final CountDownLatch connected = new CountDownLatch(1);
  private final CountDownLatch go = new CountDownLatch(1);
  final Wave.Choices choices = new Wave.Choices();
  /** By stage: how many of its tasks may wait at an executor for each of its cores. */
  final Map<Integer, Integer> ahead = new ConcurrentHashMap<>();
  volatile boolean external;

  private Driver(SparkContext context, CoarseGrainedSchedulerBackend backend) {
    this.context = context;
    this.backend = backend;
    Settings settings = new Settings(context.getConf());
    runId = settings.get("run.id", UUID.randomUUID().toString());
    external = !"internal".equals(settings.get("reschedule.dst.executor", "external"));
    link = new Link(settings::dispatcher, this, settings::key, true);
  }

  static Driver current() {
    return current;
  }

  /** A context that can be stopped and observed by its run id. */
  public static void contextCreated(Object made) {
    SparkContext context = (SparkContext) made;
    if (!(context.schedulerBackend() instanceof CoarseGrainedSchedulerBackend backend)) {
      Log.info("master " + context.master() + " launches no tasks on executors; nothing is re-routed");
      return;
    }
    Driver driver = new Driver(context, backend);
    CONTEXTS.put(driver.runId, driver);
    current = driver;
    context.addSparkListener(new Listener(driver));
    driver.link.start();
    driver.awaitExecutors();
  }

  private void awaitExecutors() {
    try {
      if (!connected.await(CONNECT_WAIT_MS, TimeUnit.MILLISECONDS)) Log.warn("no dispatcher yet; tasks run inside until there is one");
      else if (external && !go.await(MAX_WAIT_S, TimeUnit.SECONDS)) Log.warn("no external executor yet; tasks run inside until there is one");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  void ended() {
    link.close();
    CONTEXTS.remove(runId);
    if (current == this) current = null;
  }

  /** External executors only while there are any, internal ones only while there are none or the mode says so. */
  public static boolean isActive(Object backend, String id, boolean active) {
    Driver driver = current;
    if (driver == null || !active || driver.backend != backend) return active;
    External known = driver.externals.get(id);
    if (known != null) {
      known.isLaunched();
      return driver.external && known.offered;
    }
    if (!driver.external || !driver.hasLaunched()) return true;
    try {
      // Executors of another resource profile serve stages that no external executor can.
      ExecutorData data = (ExecutorData) Reflect.lookup(Reflect.call(backend, "executorDataMap"), id);
      return data != null && data.resourceProfileId() != 0;
    } catch (ReflectiveOperationException e) {
      return false;
    }
  }

  private boolean hasLaunched() {
    for (External one : externals.values()) if (one.isLaunched() && one.offered) return true;
    return false;
  }

  void registered(External executor) {
    externals.put(executor.executorId, executor);
  }

  /** Its first cores are offered. */
  void launched(External one) {
    link.send(new Frame(Frame.EXECUTOR).u8(1).string(one.executorId).string(one.workerId).string(one.data.executorHost()).u32(Reflect.cores(one.data, "totalCores")).string(""));
  }

  void detached(String executorId, String reason) {
    External gone = externals.remove(executorId);
    if (gone == null) return;
    captured.values().removeIf(task -> task.executor == gone);
    link.send(new Frame(Frame.EXECUTOR).u8(0).string(executorId).string(gone.workerId).string("").u32(0).string(reason));
    backend.reviveOffers();
  }

  public static void launchBegins(Object tasks) {
    Driver driver = current;
    if (driver == null) return;
    BATCH.set(new ArrayList<>());
    if (driver.context.conf().contains(SECRET)) driver.withholdSecret(tasks);
  }

  /** Spark SQL puts its whole configuration into the properties of its tasks, with the secret of RPC, which no task needs. */
  private void withholdSecret(Object tasks) {
    try {
      for (Object group : Reflect.each(tasks)) for (Object task : Reflect.each(group)) ((TaskDescription) task).properties().remove(SECRET);
    } catch (ReflectiveOperationException | RuntimeException e) {
      Log.warn("this wave goes Spark's own way: " + e);
      BATCH.remove();
    }
  }

  public static void launchEnds() {
    List<Captured> batch = BATCH.get();
    BATCH.remove();
    Driver driver = current;
    if (batch == null || batch.isEmpty()) return;
    if (driver != null) driver.flush(batch);
    else for (Captured task : batch) task.executor.sendDirect(task.message);
  }

  /** False: it goes Spark's own way. */
  boolean capture(External executor, LaunchTask message) {
    List<Captured> batch = BATCH.get();
    if (!external || !link.isUp() || batch == null) {
      link.send(new Frame(Frame.EVENT).u32(2).string("direct").string(executor.executorId));
      return false;
    }
    batch.add(new Captured(executor, message, System.nanoTime()));
    return true;
  }

  private void flush(List<Captured> batch) {
    Frame frame = new Frame(Frame.TASKS).u32(batch.size());
    List<Long> ids = new ArrayList<>(batch.size());
    for (Captured task : batch) {
      ByteBuffer bytes = External.bytesOf(task.message);
      // The head of TaskDescription.encode, the same in all versions: id, attempt, executor, name, index, partition.
      ByteBuffer head = bytes.duplicate();
      long taskId = head.getLong();
      int attempt = head.getInt();
      skipUtf(head);
      String name = readUtf(head);
      int index = head.getInt();
      frame.u64(taskId).u32(attempt).u32(index).string(task.executor.executorId).string(name);
      int from = Math.max(0, name.indexOf(" in stage ")), to = name.indexOf(" (TID ");
      write(frame, to < from ? name : name.substring(from, to), bytes);
      captured.put(taskId, task);
      ids.add(taskId);
    }
    if (!link.send(frame)) for (Long taskId : ids) fallBack(taskId);
  }

  /** As what makes it differ from the first of its stage, or whole. */
  private void write(Frame frame, String stage, ByteBuffer bytes) {
    synchronized (bases) {
      Base base = bases.get(stage);
      Frame delta = base == null ? null : Delta.of(base.task, bytes);
      if (delta == null) {
        if (base == null && Delta.mayBeBase(bytes)) bases.computeIfAbsent(stage, any -> new Base()).task = bytes;
        frame.u32(0).blob(bytes);
        return;
      }
      if (base.id == 0) link.sendSoon(new Frame(Frame.BASE).u32(base.id = ++lastBase).blob(base.task));
      frame.u32(base.id).blob(delta.body());
    }
  }

  private static void skipUtf(ByteBuffer in) {
    in.position(in.position() + 2 + (in.getShort(in.position()) & 0xffff));
  }

  private static String readUtf(ByteBuffer in) {
    byte[] text = new byte[in.getShort() & 0xffff];
    in.get(text);
    return new String(text, java.nio.charset.StandardCharsets.UTF_8);
  }

  /** Sent Spark's own way, to the executor it was meant for, unless Spark has heard of it. */
  private void fallBack(long taskId) {
    Captured task = captured.remove(taskId);
    if (task == null) return;
    task.executor.sendDirect(task.message);
    link.send(new Frame(Frame.EVENT).u32(3).string("fallenBack").string(taskId).string(task.executor.executorId));
  }

  public static void confirmed(long taskId) {
    Driver driver = current;
    Captured task = driver == null ? null : driver.captured.remove(taskId);
    if (task == null) return;
    driver.link.sendSoon(new Frame(Frame.EVENT).u32(3).string("started").string(taskId).string((System.nanoTime() - task.since) / 1000));
  }

  /** Spark has told the executor itself; the dispatcher need not keep a task for it. */
  void killed(KillTask kill) {
    link.send(new Frame(Frame.KILL).u64(kill.taskId()).string(kill.executor()).u8(kill.interruptThread() ? 1 : 0).string(kill.reason()));
  }

  @Override
  public Map<String, String> hello() {
    SparkConf conf = context.getConf();
    Map<String, String> hello = new LinkedHashMap<>();
    String[] said = {
      "role", "driver", "runId", runId, "applicationId", context.applicationId(), "name", context.appName(), "user", context.sparkUser(),
      "master", context.master(), "deployMode", context.deployMode(), "sparkVersion", context.version(),
      "scalaVersion", scala.util.Properties.versionNumberString(), "pid", String.valueOf(ProcessHandle.current().pid()), "host", hostName(),
      "driverUrl", "spark://CoarseGrainedScheduler@" + conf.get("spark.driver.host") + ":" + conf.get("spark.driver.port"),
      "mode", external ? "external" : "internal"
    };
    for (int i = 0; i < said.length; i += 2) hello.put(said[i], said[i + 1]);
    context.uiWebUrl().foreach(url -> hello.put("uiUrl", url));
    for (scala.Tuple2<String, String> one : conf.getAll()) {
      if (EXECUTOR_SETTING.matcher(one._1()).lookingAt()) hello.put(one._1(), one._2());
    }
    // Typed: not every class that SecurityManager's methods name is there in every distribution, and reflection would want them all.
    SecurityManager manager = context.env().securityManager();
    String secret = manager.isAuthenticationEnabled() ? manager.getSecretKey() : null;
    hello.put("authenticated", String.valueOf(secret != null));
    if (secret != null) hello.put("authSecret", secret);
    return hello;
  }

  private static String hostName() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (UnknownHostException e) {
      return "unknown";
    }
  }

  @Override
  public void up(Map<String, String> welcome) {
    Log.info("linked to dispatcher " + welcome.getOrDefault("dispatcher", "?") + " as " + welcome.getOrDefault("application", "?"));
    for (External one : externals.values()) if (one.isLaunched()) launched(one);
    synchronized (bases) {
      bases.clear();
    }
    connected.countDown();
    backend.reviveOffers();
  }

  @Override
  public void down() {
    if (context.isStopped()) return;
    List<Long> unconfirmed = new ArrayList<>(captured.keySet());
    Log.warn("the link is down; tasks go Spark's own way (" + unconfirmed.size() + " of them had not arrived)");
    for (Long taskId : unconfirmed) fallBack(taskId);
    choices.abandon();
    ahead.clear();
    go.countDown();
  }

  @Override
  public void received(int type, ByteBuffer body) {
    switch (type) {
      case Frame.GO -> go.countDown();
      case Frame.CHOICE -> choices.answer(body);
      case Frame.FALLBACK -> {
        for (int left = body.getInt(); left > 0; left--) fallBack(body.getLong());
      }
      case Frame.MODE -> {
        external = body.get() != 0;
        go.countDown();
        backend.reviveOffers();
      }
      case Frame.OFFER -> {
        External one = externals.get(Frame.readString(body));
        if (one != null) one.offered = body.get() != 0;
        backend.reviveOffers();
      }
      case Frame.AHEAD -> {
        int stage = body.getInt();
        int tasks = body.getInt();
        if (tasks > 0) ahead.put(stage, tasks);
        else ahead.remove(stage);
      }
      case Frame.STOP -> {
        Log.info("the context is stopped from outside: " + Frame.readString(body));
        new Thread(context::stop, "spark-proxy-stop").start();
      }
      case Frame.KILL_TASK -> {
        long taskId = body.getLong();
        boolean interrupt = body.get() != 0;
        context.killTaskAttempt(taskId, interrupt, Frame.readString(body));
      }
      default -> Log.debug("a frame of unknown type " + type + " was ignored");
    }
  }
}
