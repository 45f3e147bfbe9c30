import re

from commands import serve
from pyspark import SparkConf, SparkContext

sc = SparkContext(conf=SparkConf().setMaster("local[2]").set("spark.ui.enabled", "false"))
sc.range(0, 1000, 1, 2).map(lambda i: i).reduce(lambda a, b: a + b)
word = re.compile(r"[A-Za-z0-9_]+")


def words(file, partitions):
    total = (
        sc.textFile(file, int(partitions))
        .flatMap(lambda line: word.findall(line))
        .map(lambda w: (w, 1))
        .reduceByKey(lambda a, b: a + b, int(partitions))
        .map(lambda pair: (pair[1], 1, pair[1] * pair[1]))
        .reduce(lambda a, b: (a[0] + b[0], a[1] + b[1], a[2] + b[2]))
    )
    return "%d %d %d" % total


def is_inside(i):
    x = (i * 0.7548776662466927) % 1.0 * 2 - 1
    y = (i * 0.5698402909980532) % 1.0 * 2 - 1
    return 1 if x * x + y * y <= 1 else 0


def pi(samples, partitions):
    return sc.range(0, int(samples), 1, int(partitions)).map(is_inside).reduce(lambda a, b: a + b)


serve({"words": words, "pi": pi})
sc.stop()
