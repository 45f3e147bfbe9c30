package sparkproxy;

import java.nio.ByteBuffer;
import org.apache.spark.SparkConf;
import org.apache.spark.rpc.*;
import org.apache.spark.scheduler.cluster.CoarseGrainedClusterMessages.*;
import org.apache.spark.scheduler.cluster.ExecutorData;
import scala.concurrent.Future;
import scala.reflect.ClassTag;

/** The driver's endpoint of an external executor: launches go to the dispatcher, all else to the executor. */
public final class External extends RpcEndpointRef {
  private static final long serialVersionUID = 1L;

  final String executorId;
  final String workerId;
  private final transient RpcEndpointRef real;
  transient volatile ExecutorData data;
  private transient volatile boolean launched;
  /** False: its worker drains; Spark offers it no more tasks. */
  transient volatile boolean offered = true;

  private External(RpcEndpointRef real, SparkConf conf, String executorId, String workerId) {
    super(conf);
    this.real = real;
    this.executorId = executorId;
    this.workerId = workerId;
  }

  /** The endpoint, wrapped if its executor says that a worker of ours started it. Must not throw. */
  public static Object wrap(Object endpoint, Object attributes) {
    try {
      Driver driver = Driver.current();
      Object workerId = Reflect.lookup(attributes, "SPARK_PROXY_WORKER");
      Object executorId = Reflect.lookup(attributes, "SPARK_PROXY_EXECUTOR");
      if (driver == null || workerId == null || executorId == null) return endpoint;
      return new External((RpcEndpointRef) endpoint, driver.context.getConf(), executorId.toString(), workerId.toString());
    } catch (ReflectiveOperationException | RuntimeException e) {
      Log.warn("an executor is left to Spark: " + e);
      return endpoint;
    }
  }

  public static void registered(Object made) {
    ExecutorData data = (ExecutorData) made;
    Driver driver = Driver.current();
    if (driver == null || !(data.executorEndpoint() instanceof External external)) return;
    external.data = data;
    driver.registered(external);
  }

  /** Its cores are counted from the moment it has started; until then nobody is kept waiting for it. */
  boolean isLaunched() {
    if (!launched && data != null && Reflect.cores(data, "freeCores") > 0) {
      launched = true;
      Driver driver = Driver.current();
      if (driver != null) driver.launched(this);
    }
    return launched;
  }

  /** Spark's own way. */
  void sendDirect(Object message) {
    real.send(message);
  }

  @Override
  public void send(Object message) {
    Driver driver = Driver.current();
    if (driver != null && message instanceof LaunchTask task && driver.capture(this, task)) return;
    real.send(message);
    if (driver != null && message instanceof KillTask kill) driver.killed(kill);
  }

  static ByteBuffer bytesOf(LaunchTask task) {
    return task.data().value().duplicate();
  }

  @Override
  public RpcAddress address() {
    return real.address();
  }

  @Override
  public String name() {
    return real.name();
  }

  @Override
  public <T> Future<T> ask(Object message, RpcTimeout timeout, ClassTag<T> tag) {
    return real.ask(message, timeout, tag);
  }

  @Override
  public <T> AbortableRpcFuture<T> askAbortable(Object message, RpcTimeout timeout, ClassTag<T> tag) {
    return real.askAbortable(message, timeout, tag);
  }

  @Override
  public String toString() {
    return real.toString();
  }
}
