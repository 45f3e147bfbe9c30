"""Failures: tasks that fail twice and then succeed; a job that fails for good and leaves the application alive."""
import json

from pyspark import TaskContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("failures").getOrCreate()
sc = spark.sparkContext


def flaky(index, rows):
    context = TaskContext.get()
    if index % 2 == 0 and context.attemptNumber() < 2:
        raise RuntimeError(f"planned failure of partition {index}")
    yield (index, sum(rows), context.attemptNumber())


print("RESULT", "flaky", json.dumps(sc.parallelize(range(100), 4).mapPartitionsWithIndex(flaky).collect()))
# The same below a shuffle.
counts = sc.parallelize(range(100), 3).mapPartitionsWithIndex(flaky).map(lambda row: (row[2], row[1])).reduceByKey(lambda a, b: a + b)
print("RESULT", "flaky_shuffle", json.dumps(sorted(counts.collect())))


def broken(x):
    raise ValueError("never works")


try:
    sc.parallelize(range(4), 2).map(broken).collect()
    print("RESULT", "broken", "succeeded")
except Exception as error:
    print("RESULT", "broken", json.dumps(["never works" in str(error), "failed 4 times" in str(error)]))
try:
    spark.sql("select assert_true(id < 50) from range(100)").collect()
    print("RESULT", "assertion", "succeeded")
except (PySparkException, Exception):
    print("RESULT", "assertion", "failed")
print("RESULT", "alive", sc.parallelize(range(10), 2).sum())
spark.stop()
