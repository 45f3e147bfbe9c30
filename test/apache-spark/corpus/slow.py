"""One job of two tasks that say in its directory that they run, and end only when they run again: `slow.py DIRECTORY`."""
import os
import sys
import threading

from pyspark import TaskContext
from pyspark.sql import SparkSession

sc = SparkSession.builder.appName("slow").getOrCreate().sparkContext
directory = os.path.abspath(sys.argv[1])


def work(x):
    open(os.path.join(directory, f"runs.{x}"), "w").close()
    # Its executor is killed while it waits.
    if TaskContext.get().attemptNumber() == 0:
        threading.Event().wait()
    return x


print("RESULT sum", sc.parallelize([1, 2], 2).map(work).sum(), flush=True)
sc.stop()
