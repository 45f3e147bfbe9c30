"""Python functions in SQL and RDDs: UDFs, aggregation by key, pipes between partitions, Row objects."""
import json

from pyspark.sql import Row, SparkSession, functions as F
from pyspark.sql.types import ArrayType, StringType

spark = SparkSession.builder.appName("udfs").getOrCreate()
sc = spark.sparkContext
text = "the quick brown fox jumps over the lazy dog and the cat sleeps"
lines = spark.createDataFrame([Row(n=i, line=" ".join(text.split()[i % 7 :])) for i in range(200)])
pieces = F.udf(lambda line: [w[::-1] for w in line.split()], ArrayType(StringType()))
counts = lines.select(F.explode(pieces("line")).alias("word")).groupBy("word").count().orderBy(F.desc("count"), "word").limit(5)
print("RESULT", "words", json.dumps([list(row) for row in counts.collect()]))
spark.udf.register("twice", lambda n: n * 2, "int")
lines.createOrReplaceTempView("lines")
print("RESULT", "registered", spark.sql("select sum(twice(n)) from lines where twice(n) > 100").first()[0])
pairs = sc.parallelize(range(5000), 5).map(lambda x: (x % 11, x))
mean = pairs.aggregateByKey((0, 0), lambda a, x: (a[0] + x, a[1] + 1), lambda a, b: (a[0] + b[0], a[1] + b[1])).mapValues(lambda a: a[0] / a[1])
print("RESULT", "aggregate_by_key", json.dumps(sorted(mean.collect())))
print("RESULT", "reduce_by_key", json.dumps(sorted(pairs.reduceByKey(max, 3).collect())))
print("RESULT", "tree_aggregate", sc.parallelize(range(1000), 8).treeAggregate(0, lambda a, x: a + x, lambda a, b: a + b, 3))
print("RESULT", "pipe", json.dumps(sc.parallelize(["b", "a", "c"], 1).pipe("sort").collect()))
spark.stop()
