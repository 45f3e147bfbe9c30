"""Celery on Redis, measured as systems/main.ts measures: one client process, one worker process, 512 tasks under way."""
import json
import os
import statistics
import subprocess
import sys
import time

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_REDIS"] + "/1", backend=os.environ["BENCH_REDIS"] + "/2")
app.conf.update(task_ignore_result=False, worker_prefetch_multiplier=64, result_expires=60, broker_connection_retry_on_startup=True)
PAYLOAD, RESULT, IN_FLIGHT, CHUNK = "x" * 1024, "x" * 64, 512, 64


@app.task(name="echo")
def echo(_):
    return RESULT


def rate(ms):
    """Waits for the oldest of the tasks under way, a chunk at a time."""
    done = 0
    under_way = []
    start = time.perf_counter()
    while (time.perf_counter() - start) * 1000 < ms:
        while len(under_way) < IN_FLIGHT:
            under_way.append(echo.delay(PAYLOAD))
        oldest, under_way = under_way[:CHUNK], under_way[CHUNK:]
        for each in oldest:
            each.get()
        done += len(oldest)
    for each in under_way:
        each.get()
    return {"tasks": done + len(under_way), "ms": (time.perf_counter() - start) * 1000}


def trip(ms):
    times = []
    start = time.perf_counter()
    while (time.perf_counter() - start) * 1000 < ms or len(times) < 10:
        before = time.perf_counter()
        echo.delay(PAYLOAD).get()
        times.append((time.perf_counter() - before) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "celery_client", "worker", "-c", "1", "-P", "solo", "-l", "ERROR", "--without-gossip", "--without-mingle"],
        cwd=os.path.dirname(os.path.abspath(__file__)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "C_FORCE_ROOT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        echo.delay(PAYLOAD).get(timeout=60)
        rate(100)
        print("BENCH ready", flush=True)
        for line in iter(sys.stdin.readline, ""):
            what, *ms = line.split()
            if what == "end":
                break
            print("BENCH " + json.dumps(rate(float(ms[0])) if what == "rate" else trip(float(ms[0]))), flush=True)
    finally:
        worker.kill()
        worker.wait()
