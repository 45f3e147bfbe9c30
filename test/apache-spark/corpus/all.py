"""Runs the applications named, unmodified, one after the other in one SparkContext, which saves the start of one for each."""
import os
import runpy
import sys

from pyspark.sql import SparkSession

stop = SparkSession.stop
here = os.path.dirname(os.path.abspath(__file__))
SparkSession.stop = lambda self: None
for name in sys.argv[1:]:
    runpy.run_path(os.path.join(here, f"{name}.py"), run_name="__main__")
    print("DONE", name, flush=True)
SparkSession.stop = stop
SparkSession.builder.getOrCreate().stop()
