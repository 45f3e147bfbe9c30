"""Touches what Spark's applications commonly use, once for each master named: the classes of it go into the archive (class-archive.ts)."""

import sys

from pyspark import SparkConf, SparkContext, StorageLevel
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, udf

for master in sys.argv[1:]:
    context = SparkContext(conf=SparkConf().setMaster(master).set("spark.executor.memory", "512m"))
    pairs = context.parallelize(range(200), 3).map(lambda x: (x % 7, x))
    joined = pairs.reduceByKey(lambda a, b: a + b).join(pairs.groupByKey().mapValues(len)).persist(StorageLevel.MEMORY_AND_DISK)
    joined.sortByKey().collect()
    context.broadcast([1])
    context.accumulator(0).add(1)
    session = SparkSession(context)
    table = session.range(200).withColumn("k", col("id") % 5)
    table.groupBy("k").count().join(session.createDataFrame([(1, "a")], ["k", "v"]), "k", "left").orderBy("k").collect()
    table.select(udf(lambda x: x + 1, "long")("id")).collect()
    table.createOrReplaceTempView("t")
    session.sql("select k, avg(id) from t group by k having count(*) > 3").collect()
    session.stop()
