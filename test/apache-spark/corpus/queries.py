"""Runs the queries of queries.sql."""
import json
import os

from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("queries").getOrCreate()
text = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "queries.sql"), encoding="utf-8").read()
queries = [q for q in ("\n".join(line for line in text.split("\n") if not line.startswith("--"))).split(";") if q.strip()]
for number, query in enumerate(queries):
    print("RESULT", f"query_{number}", json.dumps([list(row) for row in spark.sql(query).collect()]))
spark.stop()
