"""Skew: one key has nine tenths of the rows, with adaptive execution on and off."""
import json

from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.appName("skew").getOrCreate()
rows = spark.range(0, 50000, 1, 6).select(F.when(F.col("id") % 10 < 9, 0).otherwise(F.col("id") % 101).alias("key"), F.col("id"))
lookup = spark.range(0, 101).select(F.col("id").alias("key"), (F.col("id") * 3).alias("factor"))
for adaptive in ("true", "false"):
    spark.conf.set("spark.sql.adaptive.enabled", adaptive)
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "-1")
    spark.conf.set("spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes", "64k")
    spark.conf.set("spark.sql.adaptive.advisoryPartitionSizeInBytes", "64k")
    total = rows.join(lookup, "key").agg(F.sum(F.col("id") * F.col("factor")), F.count("id")).first()
    print("RESULT", f"skew_{adaptive}", json.dumps(list(total)))
groups = spark.sparkContext.parallelize(range(20000), 4).map(lambda x: (0 if x % 10 else x % 7, 1)).groupByKey(4).mapValues(len).collect()
print("RESULT", "group_by_key", json.dumps(sorted(groups)))
spark.stop()
