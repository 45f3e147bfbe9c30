import sys
import time

from pyspark import SparkConf, SparkContext

sc = SparkContext(conf=SparkConf().setMaster("local[2]").set("spark.ui.enabled", "false"))


def tasks(count):
    rdd = sc.parallelize(range(count), count)
    start = time.perf_counter()
    rdd.count()
    return count / (time.perf_counter() - start)


tasks(8)
print("\nBENCH ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    if line == "end\n":
        break
    print("\nBENCH %f" % tasks(int(line)), flush=True)
sc.stop()
