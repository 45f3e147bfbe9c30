"""Joins: broadcast, sort-merge, shuffled hash, outer, anti, and of RDDs."""
import json

from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.appName("joins").getOrCreate()
orders = spark.range(0, 4000, 1, 6).select(
    F.col("id").alias("order"), (F.col("id") * 7 % 311).alias("customer"), (F.col("id") % 97).cast("double").alias("amount")
)
customers = spark.range(0, 250, 1, 3).select(F.col("id").alias("customer"), F.concat(F.lit("c"), F.col("id") % 10).alias("segment"))


def digest(frame):
    """An order-independent sum over all rows, and their count."""
    row = frame.select(F.xxhash64(*[F.col(f"`{c}`") for c in frame.columns]).alias("h")).agg(F.sum(F.col("h") % 1000003), F.count("h")).first()
    return [row[0], row[1]]


for hint in ("broadcast", "merge", "shuffle_hash"):
    joined = orders.join(customers.hint(hint), "customer")
    print("RESULT", f"join_{hint}", json.dumps(digest(joined)))
for how in ("left", "right", "full", "left_anti", "left_semi"):
    print("RESULT", f"join_{how}", json.dumps(digest(orders.join(customers, "customer", how))))
segments = orders.join(customers, "customer").groupBy("segment").agg(F.sum("amount").alias("total"), F.countDistinct("customer").alias("n")).orderBy("segment")
print("RESULT", "segments", json.dumps([list(row) for row in segments.collect()]))

sc = spark.sparkContext
left = sc.parallelize(range(1000), 4).map(lambda x: (x % 50, x))
right = sc.parallelize(range(500), 3).map(lambda x: (x % 70, -x))
print("RESULT", "rdd_join", json.dumps([left.join(right, 5).count(), left.cogroup(right).mapValues(lambda v: len(list(v[0])) * len(list(v[1]))).values().sum()]))
spark.stop()
