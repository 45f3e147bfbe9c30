"""The most frequent words of the files it is given. Nothing in it knows of spark-proxy."""
import sys

from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.appName("words").getOrCreate()
words = spark.read.text(sys.argv[1:]).select(F.explode(F.split(F.lower("value"), r"[^a-z]+")).alias("word")).where("length(word) > 3")
for row in words.groupBy("word").count().orderBy(F.desc("count"), "word").limit(5).collect():
    print(f"{row['count']:6d}  {row['word']}")
spark.stop()
