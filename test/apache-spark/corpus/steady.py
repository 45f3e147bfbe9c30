"""Runs jobs with many short tasks and with a shuffle, one after the other, until its directory holds a file `stop`: `steady.py DIRECTORY`."""
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
    short = spark.range(0, 60, 1, 60).selectExpr("sum(id)").collect()[0][0]
    total = sc.parallelize(range(base, base + 24), 8).map(work).reduceByKey(lambda a, b: a + b, 3).values().sum()
    right = total == sum(x * x for x in range(base, base + 24)) and short == 1770
    print("ROUND", number, "right" if right else f"WRONG {total} {short}", flush=True)
print("RESULT", "done", flush=True)
spark.stop()
