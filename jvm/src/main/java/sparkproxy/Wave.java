package sparkproxy;

import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.*;
import org.apache.spark.scheduler.*;

/**
 * One round of offers. Where Spark's scheduler filled more than one external executor's offer (or left one free), the
 * dispatcher's selector is asked for the whole round at once, and the tasks that it places elsewhere are moved in all of
 * Spark's own books before any listener, backend or executor hears of them: Spark knows where each task runs.
 */
public final class Wave {
  private record Started(Object dag, Object task, Object info) {}

  private record Candidate(External executor, int free) {}

  /** How many tasks beyond its free cores each core was offered, and what is told when places are final. */
  private record Round(int ahead, List<Started> started) {}

  private static final ThreadLocal<Round> ROUND = new ThreadLocal<>();
  private static final int ANSWER_MS = 250;

  private Wave() {}

  public static void begin(Object scheduler, Object offers) {
    Driver driver = Driver.current();
    if (driver == null || driver.externals.isEmpty()) return;
    int ahead = 0;
    try {
      ahead = widen(driver, (TaskSchedulerImpl) scheduler, offers);
    } catch (ReflectiveOperationException | RuntimeException e) {
      Log.debug("no tasks ahead: " + e);
    }
    if (!driver.external || !driver.link.isUp() || driver.externals.size() < 2) return;
    if (driver.context.getConf().getBoolean("spark.excludeOnFailure.enabled", false)) return;
    ROUND.set(new Round(ahead, new ArrayList<>()));
  }

  /**
   * While all that could be launched is of stages that the dispatcher calls short, executors are offered more than they have
   * cores for: they need not wait for their next task, and tasks travel together, as many as half of what may wait.
   */
  private static int widen(Driver driver, TaskSchedulerImpl scheduler, Object offers) throws ReflectiveOperationException {
    int ahead = driver.external && driver.link.isUp() && !driver.ahead.isEmpty() ? ahead(driver, scheduler) : 0;
    Field cores = Reflect.field(WorkerOffer.class, "cores");
    for (Object offer : Reflect.each(offers)) {
      External one = driver.externals.get(((WorkerOffer) offer).executorId());
      if (one == null) continue;
      int more = ahead * Reflect.cores(one.data, "totalCores");
      int room = Reflect.intOf(cores.get(offer)) + more;
      if (more > 0 || room < 0) cores.set(offer, Reflect.like(cores.getType(), room * 2 < more ? 0 : Math.max(0, room)));
    }
    return ahead;
  }

  private static int ahead(Driver driver, TaskSchedulerImpl scheduler) throws ReflectiveOperationException {
    int least = Integer.MAX_VALUE;
    for (Object one : Reflect.each(scheduler.rootPool().getSortedTaskSetQueue())) {
      TaskSetManager set = (TaskSetManager) one;
      if (set.isZombie()) continue;
      // A barrier stage needs all its tasks to run at once, and other resources are not to be had twice.
      if (set.taskSet().resourceProfileId() != 0 || (boolean) Reflect.call(set, "isBarrier")) return 0;
      least = Math.min(least, driver.ahead.getOrDefault(set.stageId(), 0));
    }
    return least == Integer.MAX_VALUE ? 0 : least;
  }

  public static boolean postpone(Object dag, Object task, Object info) {
    Round round = ROUND.get();
    return round != null && round.started.add(new Started(dag, task, info));
  }

  public static void end(Object scheduler, Object tasks) {
    Round round = ROUND.get();
    ROUND.remove();
    if (round == null) return;
    try {
      if (tasks != null && !round.started.isEmpty()) place(Driver.current(), (TaskSchedulerImpl) scheduler, tasks, round.ahead);
    } catch (ReflectiveOperationException | RuntimeException e) {
      Log.warn("this round stays as Spark placed it: " + e);
    } finally {
      for (Started one : round.started) {
        try {
          Reflect.call(one.dag, "taskStarted", one.task, one.info);
        } catch (ReflectiveOperationException e) {
          Log.warn("a task start was not told: " + e);
        }
      }
    }
  }

  private static void place(Driver driver, TaskSchedulerImpl scheduler, Object tasks, int ahead) throws ReflectiveOperationException {
    if (driver == null) return;
    Object running = Reflect.call(scheduler, "executorIdToRunningTaskIds");
    List<Candidate> candidates = new ArrayList<>();
    for (External one : driver.externals.values()) {
      int free = one.isLaunched() ? Reflect.cores(one.data, "freeCores") + ahead * Reflect.cores(one.data, "totalCores") : 0;
      if (free > 0 && (boolean) Reflect.call(driver.backend, "isExecutorActive", one.executorId) && Reflect.lookup(running, one.executorId) != null) candidates.add(new Candidate(one, free));
    }
    if (candidates.size() < 2) return;
    List<TaskDescription> asked = new ArrayList<>();
    List<TaskInfo> infos = new ArrayList<>();
    Frame frame = new Frame(Frame.CHOOSE);
    Frame list = new Frame();
    for (Object group : Reflect.each(tasks)) {
      for (Object one : Reflect.each(group)) {
        TaskDescription task = (TaskDescription) one;
        int offered = indexOf(candidates, task.executorId());
        TaskSetManager set = scheduler.taskIdToTaskSetManager().get(task.taskId());
        if (offered < 0 || set == null) continue;
        TaskInfo info = (TaskInfo) Reflect.lookup(Reflect.call(set, "taskInfos"), task.taskId());
        // A copy must not join its original, a barrier stage is placed as a whole, and other resources have addresses.
        boolean fixed = info == null || info.speculative() || set.taskSet().resourceProfileId() != 0 || (boolean) Reflect.call(set, "isBarrier")
            || !(boolean) Reflect.call(task.resources(), "isEmpty");
        asked.add(task);
        infos.add(info);
        list.u64(task.taskId()).u32(task.attemptNumber()).u32(task.index()).u32(Reflect.intOf(Reflect.call(task, "cpus"))).u32(offered).u8(fixed ? 1 : 0)
            .string(info == null ? "ANY" : info.taskLocality()).string(task.name());
      }
    }
    if (asked.isEmpty()) return;
    frame.u32(driver.choices.next()).u32(candidates.size());
    for (Candidate one : candidates) frame.string(one.executor.executorId).u32(one.free);
    frame.u32(asked.size()).raw(list.body());
    int[] places = driver.choices.ask(driver, frame, asked.size());
    if (places == null) return;
    for (int i = 0; i < places.length; i++) {
      if (places[i] < 0 || places[i] >= candidates.size() || infos.get(i) == null) continue;
      External to = candidates.get(places[i]).executor;
      if (!to.executorId.equals(asked.get(i).executorId())) move(scheduler, running, asked.get(i), infos.get(i), to);
    }
  }

  /** All of Spark's books that name the executor of a task. Fields first: if one is missing, nothing has changed. */
  private static void move(TaskSchedulerImpl scheduler, Object running, TaskDescription task, TaskInfo info, External to) throws ReflectiveOperationException {
    Field described = Reflect.field(TaskDescription.class, "executorId");
    Field executor = Reflect.field(TaskInfo.class, "executorId");
    Field host = Reflect.field(TaskInfo.class, "host");
    Object source = Reflect.lookup(running, task.executorId());
    Object target = Reflect.lookup(running, to.executorId);
    if (source == null || target == null) return;
    Object taskId = task.taskId();
    Reflect.call(source, "remove", taskId);
    Reflect.call(target, "add", taskId);
    Reflect.call(Reflect.call(scheduler, "taskIdToExecutorId"), "put", taskId, to.executorId);
    described.set(task, to.executorId);
    executor.set(info, to.executorId);
    host.set(info, to.data.executorHost());
  }

  private static int indexOf(List<Candidate> candidates, String executorId) {
    for (int i = 0; i < candidates.size(); i++) if (candidates.get(i).executor.executorId.equals(executorId)) return i;
    return -1;
  }

  /** Questions to the dispatcher, one at a time; one that is not answered in time leaves Spark's own placement. */
  static final class Choices {
    private int id;
    private volatile CompletableFuture<int[]> pending;
    private volatile boolean late;

    int next() {
      return ++id;
    }

    int[] ask(Driver driver, Frame frame, int tasks) {
      if (late) return null;
      CompletableFuture<int[]> answer = new CompletableFuture<>();
      pending = answer;
      try {
        if (!driver.link.send(frame)) return null;
        int[] places = answer.get(ANSWER_MS, TimeUnit.MILLISECONDS);
        return places.length == tasks ? places : null;
      } catch (TimeoutException e) {
        // Not asked again until it has answered.
        late = true;
        return null;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return null;
      } catch (ExecutionException e) {
        return null;
      }
    }

    void answer(ByteBuffer body) {
      late = false;
      CompletableFuture<int[]> waiting = pending;
      int answered = body.getInt();
      int[] places = new int[Math.min(body.getInt(), body.remaining() / 4)];
      for (int i = 0; i < places.length; i++) places[i] = body.getInt();
      if (waiting != null && answered == id) waiting.complete(places);
    }

    void abandon() {
      late = false;
      CompletableFuture<int[]> waiting = pending;
      if (waiting != null) waiting.complete(new int[0]);
    }
  }
}
