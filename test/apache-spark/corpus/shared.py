"""Broadcast variables, accumulators, and closures of some size."""
import json

from pyspark import AccumulatorParam
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("shared").getOrCreate()
sc = spark.sparkContext


class Sets(AccumulatorParam):
    def zero(self, value):
        return set()

    def addInPlace(self, a, b):
        return a | b


table = sc.broadcast({i: "x" * 20 + str(i * i) for i in range(50000)})
total, seen = sc.accumulator(0), sc.accumulator(set(), Sets())
weights = list(range(100000))


def visit(x):
    total.add(x)
    seen.add({x % 8})
    return len(table.value[x]) + weights[x]


print("RESULT", "broadcast", sc.parallelize(range(0, 50000, 5), 6).map(visit).sum())
print("RESULT", "accumulators", json.dumps([total.value, sorted(seen.value)]))
table.unpersist(blocking=True)
print("RESULT", "again", sc.parallelize(range(10), 2).map(lambda x: len(table.value[x])).sum())
table.destroy()
spark.stop()
