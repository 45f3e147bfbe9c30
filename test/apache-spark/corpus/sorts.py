"""Sorts: global by range partitioning, within partitions, top N, windows, and of RDDs."""
import json

from pyspark.sql import SparkSession, Window, functions as F

spark = SparkSession.builder.appName("sorts").getOrCreate()
numbers = spark.range(0, 20000, 1, 5).select(((F.col("id") * 48271) % 2147483647).alias("n"), (F.col("id") % 13).alias("k"))
ordered = numbers.orderBy(F.desc("n"), "k").rdd.map(tuple)
print("RESULT", "first", json.dumps([list(row) for row in ordered.take(3)]))
# Partitions of a global sort: none begins before the last has ended, and nothing is lost.
ends = ordered.mapPartitions(lambda rows: [(lambda all: (all[0][0], all[-1][0], len(all), all == sorted(all, key=lambda r: (-r[0], r[1]))))(list(rows))]).collect()
print("RESULT", "sorted", json.dumps([all(end[3] for end in ends), all(a[1] >= b[0] for a, b in zip(ends, ends[1:])), sum(end[2] for end in ends)]))
window = Window.partitionBy("k").orderBy(F.desc("n"))
best = numbers.withColumn("rank", F.row_number().over(window)).where("rank <= 2").orderBy("k", "rank")
print("RESULT", "windows", json.dumps([list(row) for row in best.collect()]))
words = spark.sparkContext.parallelize([f"w{(i * 7919) % 3000:04d}" for i in range(3000)], 4)
print("RESULT", "sort_by", json.dumps([words.sortBy(lambda w: w).zipWithIndex().filter(lambda p: p[1] % 1000 == 0).collect(), words.top(2), words.max()]))
spark.stop()
