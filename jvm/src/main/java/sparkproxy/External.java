package sparkproxy;

import org.apache.spark.scheduler.cluster.ExecutorData;

/** An executor that a worker of ours started. */
record External(String id, String worker, ExecutorData data) {
  int freeCores() throws ReflectiveOperationException {
    return Reflect.intOf(Reflect.call(data, "freeCores"));
  }
}
