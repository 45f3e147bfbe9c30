"""Runs jobs with a shuffle, one after the other, until its directory holds a file `stop`: `steady.py DIRECTORY`."""
import os
import sys
import time

from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("steady").getOrCreate()
sc = spark.sparkContext


def work(x):
    time.sleep(0.03)
    return (x % 7, x * x)


number = 0
while not os.path.exists(os.path.join(sys.argv[1], "stop")):
    number += 1
    print("JOB", number, flush=True)
    base = number % 10
    total = sc.parallelize(range(base, base + 24), 8).map(work).reduceByKey(lambda a, b: a + b, 3).values().sum()
    print("ROUND", number, "right" if total == sum(x * x for x in range(base, base + 24)) else f"WRONG {total}", flush=True)
print("RESULT", "done", flush=True)
spark.stop()
