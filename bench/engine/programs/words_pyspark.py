import re
import sys

from pyspark import SparkConf, SparkContext

file, partitions = sys.argv[1], int(sys.argv[2])
conf = SparkConf().setMaster("local[2]").set("spark.ui.enabled", "false")
sc = SparkContext(conf=conf)
sc.setLogLevel("ERROR")
word = re.compile(r"[A-Za-z0-9_]+")
total = (
    sc.textFile(file, partitions)
    .flatMap(lambda line: word.findall(line))
    .map(lambda w: (w, 1))
    .reduceByKey(lambda a, b: a + b, 2)
    .map(lambda pair: (pair[1], 1, pair[1] * pair[1]))
    .reduce(lambda a, b: (a[0] + b[0], a[1] + b[1], a[2] + b[2]))
)
print("ANSWER %d %d %d" % total)
sc.stop()
