"""Caching: what is persisted is computed once; all storage levels; a cached frame; local checkpoints."""
import json

from pyspark import StorageLevel
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.appName("caching").getOrCreate()
sc = spark.sparkContext
for name in ("MEMORY_ONLY", "MEMORY_AND_DISK", "DISK_ONLY"):
    computed = sc.accumulator(0)

    def slow(x):
        computed.add(1)
        return x * x

    squares = sc.parallelize(range(400), 4).map(slow).persist(getattr(StorageLevel, name))
    sums = [squares.sum() for _ in range(3)]
    print("RESULT", f"persist_{name}", json.dumps([sums, computed.value]))
    squares.unpersist(blocking=True)
frame = spark.range(0, 5000, 1, 4).withColumn("g", F.col("id") % 17).cache()
print("RESULT", "frame", json.dumps([frame.count(), frame.groupBy("g").count().orderBy("g").first()[1], frame.where("g = 3").count()]))
frame.unpersist(blocking=True)
chained = sc.parallelize(range(100), 2)
for _ in range(5):
    chained = chained.map(lambda x: x + 1)
chained.localCheckpoint()
print("RESULT", "checkpoint", json.dumps([chained.sum(), chained.isLocallyCheckpointed(), chained.map(lambda x: x % 3).countByValue()[0]]))
spark.stop()
