"""Results of every size: nothing, direct, and so large that they go through the block manager."""
import hashlib
import json

from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("results").getOrCreate()
sc = spark.sparkContext
print("RESULT", "none", json.dumps([sc.parallelize([], 3).collect(), sc.parallelize(range(3), 3).foreach(lambda x: None)]))
for kilobytes in (1, 700, 3000):
    parts = sc.parallelize(range(3), 3).map(lambda i: bytes([i + 65]) * (kilobytes * 1024)).collect()
    print("RESULT", f"result_{kilobytes}k", hashlib.sha256(b"".join(parts)).hexdigest()[:16])
rows = spark.range(0, 60000, 1, 3).selectExpr("id", "repeat(cast(id as string), 12) text").collect()
print("RESULT", "frame", json.dumps([len(rows), sum(len(row.text) for row in rows)]))
big = sc.parallelize(["y" * 1000] * 4000, 2)
print("RESULT", "big_task", json.dumps([big.count(), sum(len(x) for x in big.collect())]))
spark.stop()
