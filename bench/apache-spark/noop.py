"""For each line it is sent, runs one SQL job of so many no-op tasks, and says how long it took, ms."""
import sys
import time

from pyspark.sql import SparkSession

tasks = int(sys.argv[1])
spark = SparkSession.builder.appName("no-op tasks").getOrCreate()
print("BENCH ready", flush=True)
for line in sys.stdin:
    if line.strip() != "run":
        break
    began = time.monotonic()
    spark.range(0, tasks, 1, tasks).write.format("noop").mode("overwrite").save()
    print("BENCH ms", round((time.monotonic() - began) * 1000, 1), flush=True)
spark.stop()
