"""Kill: a job group is cancelled while its tasks run; its cores are free for the next job at once."""
import json
import threading
import time

from pyspark import InheritableThread
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("cancel").getOrCreate()
sc = spark.sparkContext
outcome = []


def run():
    sc.setJobGroup("slow", "tasks of ten minutes", interruptOnCancel=True)
    try:
        sc.parallelize(range(6), 6).map(lambda x: time.sleep(600)).count()
        outcome.append("finished")
    except Exception as error:
        outcome.append("cancelled" if "cancel" in str(error).lower() else str(error))


thread = InheritableThread(target=run)
thread.start()
tracker = sc.statusTracker()
# A job that ends before, does so here and not in a loop for ever.
while thread.is_alive() and not any((i := tracker.getStageInfo(s)) and i.numActiveTasks > 0 for s in tracker.getActiveStageIds()):
    thread.join(0.05)
sc.cancelJobGroup("slow")
thread.join(60)
print("RESULT", "cancelled", json.dumps(outcome))
began = time.monotonic()
print("RESULT", "next", sc.parallelize(range(100), 4).sum())
print("RESULT", "soon", time.monotonic() - began < 60)
spark.stop()
