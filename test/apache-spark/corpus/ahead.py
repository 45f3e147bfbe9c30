"""Short tasks, which are launched ahead: no more run at once than there are cores, whatever waits behind a long one or is cancelled."""
import os
import threading
import time

from pyspark import InheritableThread
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("ahead").getOrCreate()
sc = spark.sparkContext


def timed(x):
    began = time.time()
    time.sleep(0.001)
    return (os.getppid(), began, time.time())


def at_once(times):
    most = {}
    for pid, began, _ in times:
        most[pid] = max(most.get(pid, 0), sum(1 for other, b, e in times if other == pid and b <= began < e))
    return max(most.values())


times = sc.parallelize(range(200), 200).map(timed).collect()
print("RESULT", "short", len(times), at_once(times) <= 2)

# Both cores are taken for a while, and what waits behind is not lost.
slow = sc.parallelize(range(100), 100).map(lambda x: (time.sleep(2.5 if x in (50, 51) else 0.001), x)[1])
print("RESULT", "behind", slow.sum())

ended = []
gone = threading.Event()


def run():
    sc.setJobGroup("many", "short tasks", interruptOnCancel=True)
    try:
        sc.parallelize(range(4000), 4000).map(lambda x: time.sleep(0.001)).count()
        ended.append("finished")
    except Exception as error:
        ended.append("cancelled" if "cancel" in str(error).lower() else str(error))
    gone.set()


InheritableThread(target=run).start()
tracker = sc.statusTracker()
while not any((tracker.getStageInfo(s) and tracker.getStageInfo(s).numCompletedTasks > 50) for s in tracker.getActiveStageIds()):
    time.sleep(0.01)
sc.cancelJobGroup("many")
gone.wait(60)
times = sc.parallelize(range(40), 40).map(timed).collect()
print("RESULT", "after", ended, len(times), at_once(times) <= 2)
spark.range(0, 600, 1, 600).write.format("noop").mode("overwrite").save()
spark.stop()
