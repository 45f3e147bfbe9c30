"""One job of two tasks that take seconds each and say in its directory that they run: `slow.py DIRECTORY`."""
import os
import sys
import time

from pyspark.sql import SparkSession

sc = SparkSession.builder.appName("slow").getOrCreate().sparkContext
directory = os.path.abspath(sys.argv[1])


def work(x):
    open(os.path.join(directory, f"runs.{x}"), "w").close()
    time.sleep(6)
    return x


print("RESULT sum", sc.parallelize([1, 2], 2).map(work).sum(), flush=True)
sc.stop()
