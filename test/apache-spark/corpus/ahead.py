"""Short tasks, which are launched ahead: no more run at once than there are cores, whatever waits behind a long one or is cancelled."""
from pyspark import InheritableThread
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("ahead").getOrCreate()
sc = spark.sparkContext


def tasks(count, sleep="1"):
    """So many tasks of one row: where it ran, and from when to when."""
    now = "CAST(java_method('java.lang.System', 'nanoTime') AS BIGINT)"
    where = "java_method('java.lang.System', 'getProperty', 'user.dir')"
    return spark.range(0, count, 1, count).selectExpr(where, now, f"java_method('java.lang.Thread', 'sleep', CAST({sleep} AS BIGINT))", now, "id")


def at_once(rows):
    most = {}
    for where, began, *_ in rows:
        most[where] = max(most.get(where, 0), sum(1 for other, b, _, e, _ in rows if other == where and b <= began < e))
    return max(most.values())


rows = tasks(500).collect()
print("RESULT", "short", len(rows), at_once(rows) <= 2)

# Both cores are taken for a while, and what waits behind is not lost.
rows = tasks(200, "IF(id IN (100, 101), 2500, 1)").collect()
print("RESULT", "behind", sum(row.id for row in rows), at_once(rows) <= 2)

ended = []


def run():
    sc.setJobGroup("many", "short tasks", interruptOnCancel=True)
    try:
        tasks(5000).write.format("noop").mode("overwrite").save()
        ended.append("finished")
    except Exception as error:
        ended.append("cancelled" if "cancel" in str(error).lower() else str(error))


thread = InheritableThread(target=run)
thread.start()
tracker = sc.statusTracker()
# A job that ends before, does so here and not in a loop for ever.
while thread.is_alive() and not any((i := tracker.getStageInfo(s)) and i.numCompletedTasks > 50 for s in tracker.getActiveStageIds()):
    thread.join(0.01)
sc.cancelJobGroup("many")
thread.join(60)
rows = tasks(40).collect()
print("RESULT", "after", ended, len(rows), at_once(rows) <= 2)
spark.stop()
