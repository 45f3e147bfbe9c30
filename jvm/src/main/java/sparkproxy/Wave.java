package sparkproxy;

import java.lang.reflect.Field;
import java.util.*;
import java.util.concurrent.Callable;
import org.apache.spark.scheduler.*;

/**
 * One round of offers. Where Spark's scheduler filled more than one external executor's offer (or left one free), the
 * dispatcher's selector is asked for the whole round at once, and the tasks that it places elsewhere are moved in all of
 * Spark's own books before any listener, backend or executor hears of them: Spark knows where each task runs.
 */
public final class Wave {
  private record Candidate(External executor, int free) {}

  private record Asked(TaskDescription task, TaskInfo info) {}

  private static final ThreadLocal<Wave> WAVE = new ThreadLocal<>();

  private final Driver driver;
  private final TaskSchedulerImpl scheduler;
  /** How many tasks beyond its free cores each core is offered. */
  private final int ahead;
  /** What is told when places are final. */
  private final List<Callable<?>> started = new ArrayList<>();

  private Wave(Driver driver, TaskSchedulerImpl scheduler) throws ReflectiveOperationException {
    this.driver = driver;
    this.scheduler = scheduler;
    ahead = driver.isRerouting() && !driver.ahead.isEmpty() ? leastAhead() : 0;
  }

  public static void begin(Object scheduler, Object offers) throws ReflectiveOperationException {
    Driver driver = Driver.current;
    if (driver == null || driver.externals.isEmpty()) return;
    Wave wave = new Wave(driver, (TaskSchedulerImpl) scheduler);
    wave.widen(offers);
    if (!driver.isRerouting() || driver.externals.size() < 2) return;
    if (!driver.context.getConf().getBoolean("spark.excludeOnFailure.enabled", false)) WAVE.set(wave);
  }

  /**
   * While all that could be launched is of stages that the dispatcher calls short, executors are offered more than they have
   * cores for: they need not wait for their next task, and tasks travel together, as many as half of what may wait.
   */
  private void widen(Object offers) throws ReflectiveOperationException {
    Field cores = Reflect.field(WorkerOffer.class, "cores");
    for (Object offer : Reflect.each(offers)) {
      External one = driver.externals.get(((WorkerOffer) offer).executorId());
      if (one == null) continue;
      int more = ahead * one.data().totalCores();
      int room = Reflect.intOf(cores.get(offer)) + more;
      int offered = room * 2 < more ? 0 : Math.max(0, room);
      if (more > 0 || room < 0) cores.set(offer, cores.getType() == int.class ? (Object) offered : scala.math.BigDecimal.valueOf(offered));
    }
  }

  private int leastAhead() throws ReflectiveOperationException {
    int least = Integer.MAX_VALUE;
    for (Object one : Reflect.each(scheduler.rootPool().getSortedTaskSetQueue())) {
      TaskSetManager set = (TaskSetManager) one;
      if (set.isZombie()) continue;
      if (isPlacedAsAWhole(set)) return 0;
      least = Math.min(least, driver.ahead.getOrDefault(set.stageId(), 0));
    }
    return least == Integer.MAX_VALUE ? 0 : least;
  }

  /** A barrier stage needs all its tasks to run at once, and other resources are not to be had twice. */
  private static boolean isPlacedAsAWhole(TaskSetManager set) throws ReflectiveOperationException {
    return set.taskSet().resourceProfileId() != 0 || (boolean) Reflect.call(set, "isBarrier");
  }

  public static boolean postpone(Object dag, Object task, Object info) {
    Wave wave = WAVE.get();
    return wave != null && wave.started.add(() -> Reflect.call(dag, "taskStarted", task, info));
  }

  public static void end(Object tasks) throws Exception {
    Wave wave = WAVE.get();
    WAVE.remove();
    if (wave == null) return;
    try {
      if (tasks != null && !wave.started.isEmpty()) wave.place(tasks);
    } catch (ReflectiveOperationException | RuntimeException e) {
      Log.warn("this round stays as Spark placed it: " + e);
    }
    for (Callable<?> one : wave.started) one.call();
  }

  private void place(Object tasks) throws ReflectiveOperationException {
    Object running = Reflect.call(scheduler, "executorIdToRunningTaskIds");
    List<Candidate> candidates = new ArrayList<>();
    for (External one : driver.externals.values()) {
      int free = one.freeCores() + ahead * one.data().totalCores();
      boolean isActive = (boolean) Reflect.call(driver.backend, "isExecutorActive", one.id()) && Reflect.lookup(running, one.id()) != null;
      if (free > 0 && isActive) candidates.add(new Candidate(one, free));
    }
    if (candidates.size() < 2) return;
    List<String> names = candidates.stream().map(one -> one.executor.id()).toList();
    Frame question = new Frame(Frame.CHOOSE).u32(candidates.size());
    for (Candidate one : candidates) question.string(one.executor.id()).u32(one.free);
    List<Asked> asked = new ArrayList<>();
    for (Object group : Reflect.each(tasks)) {
      for (Object one : Reflect.each(group)) {
        TaskDescription task = (TaskDescription) one;
        int offered = names.indexOf(task.executorId());
        TaskSetManager set = scheduler.taskIdToTaskSetManager().get(task.taskId());
        TaskInfo info = set == null ? null : (TaskInfo) Reflect.lookup(Reflect.call(set, "taskInfos"), task.taskId());
        if (offered < 0 || info == null) continue;
        // A copy must not join its original, and other resources have addresses.
        boolean fixed = info.speculative() || isPlacedAsAWhole(set) || !(boolean) Reflect.call(task.resources(), "isEmpty");
        asked.add(new Asked(task, info));
        question.u64(task.taskId()).u32(task.attemptNumber()).u32(task.index()).u32(Reflect.intOf(Reflect.call(task, "cpus"))).u32(offered)
            .u32(fixed ? 1 : 0).string(info.taskLocality()).string(task.name());
      }
    }
    if (asked.isEmpty()) return;
    int[] places = driver.choose(question);
    for (int i = 0; i < places.length && i < asked.size(); i++) {
      if (places[i] >= 0 && places[i] < candidates.size()) move(running, asked.get(i), candidates.get(places[i]).executor);
    }
  }

  /** All of Spark's books that name the executor of a task. Fields first: if one is missing, nothing has changed. */
  private void move(Object running, Asked asked, External to) throws ReflectiveOperationException {
    Field described = Reflect.field(TaskDescription.class, "executorId");
    Field executor = Reflect.field(TaskInfo.class, "executorId");
    Field host = Reflect.field(TaskInfo.class, "host");
    Object source = Reflect.lookup(running, asked.task.executorId());
    Object target = Reflect.lookup(running, to.id());
    if (source == null || target == null || source == target) return;
    Object taskId = asked.task.taskId();
    Reflect.call(source, "remove", taskId);
    Reflect.call(target, "add", taskId);
    Reflect.call(Reflect.call(scheduler, "taskIdToExecutorId"), "put", taskId, to.id());
    described.set(asked.task, to.id());
    executor.set(asked.info, to.id());
    host.set(asked.info, to.data().executorHost());
  }
}
