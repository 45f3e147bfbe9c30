"""Jobs that read what earlier jobs left (shuffle files, cached blocks), each when its directory holds a file `go.N`: `moves.py DIRECTORY`."""
import json
import os
import sys
import time

from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("moves").getOrCreate()
sc = spark.sparkContext


def gate(name):
    print("WAIT", name, flush=True)
    while not os.path.exists(os.path.join(sys.argv[1], f"go.{name}")):
        time.sleep(0.05)


gate("map")
cached = sc.parallelize(range(2000), 4).map(lambda x: (x % 13, x)).cache()
reduced = cached.reduceByKey(lambda a, b: a + b, 4)
print("RESULT", "mapped", reduced.count(), flush=True)
gate("reduce")
# Its map stage is skipped: only the reduce side runs, and fetches from where the maps ran.
print("RESULT", "reduced", json.dumps(sorted(reduced.collect())), flush=True)
print("RESULT", "cached", cached.values().sum(), flush=True)
gate("more")
print("RESULT", "more", json.dumps(sorted(reduced.mapValues(lambda v: v + 1).collect())[:3]), flush=True)
print("RESULT", "fresh", sc.parallelize(range(100), 4).map(lambda x: (x % 3, 1)).reduceByKey(lambda a, b: a + b, 2).count(), flush=True)
spark.stop()
