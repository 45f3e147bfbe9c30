import sys

from pyspark import SparkConf, SparkContext

samples, partitions = int(sys.argv[1]), int(sys.argv[2])
conf = SparkConf().setMaster("local[2]").set("spark.ui.enabled", "false")
sc = SparkContext(conf=conf)
sc.setLogLevel("ERROR")


def hash32(n):
    h = ((n ^ 0x9E3779B9) * 0x85EBCA6B) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return (h ^ (h >> 16)) / 4294967296


def point(i):
    x = hash32(2 * i) * 2 - 1
    y = hash32(2 * i + 1) * 2 - 1
    return 1 if x * x + y * y <= 1 else 0


inside = sc.range(0, samples, 1, partitions).map(point).reduce(lambda a, b: a + b)
print("ANSWER %d" % inside)
sc.stop()
