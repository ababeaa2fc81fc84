"""What the bench `cluster` measures, by PySpark: the same rows, from Spark's own memory, median of several runs."""

import json
import statistics
import time

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

RUNS = 7
PARTITIONS = 4

spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.sql.shuffle.partitions", PARTITIONS)
    .config("spark.driver.memory", "6g")
    .config("spark.ui.enabled", "false")
    .config("spark.log.level", "ERROR")
    .getOrCreate()
)


def rows(count, salt):
    """Keys in a fixed random order, and a value; held in memory."""
    number = (f.col("id") + salt) % count
    frame = spark.range(0, count, 1, PARTITIONS).select(f.xxhash64(number).alias("k"), number.alias("v"))
    frame = frame.cache()
    frame.count()
    return frame


def report(what, run):
    run()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    median = statistics.median(times)
    print(f"{what + ', PySpark':<44} {median:>9.1f} ms (least {min(times):.1f})")
    print(json.dumps({"bench": "cluster", "what": what + ", PySpark", "ms": median, "least_ms": min(times)}), flush=True)


def kept(frame):
    """Computed and held, like a kept table."""
    held = frame.persist()
    held.count()
    held.unpersist(blocking=True)


ten = rows(10_000_000, 0)
report("10M rows: read, map_values, sum", lambda: ten.select((f.col("v") + 1).alias("v")).agg(f.sum("v")).collect())
report("10M rows: map, kept", lambda: kept(ten.select("k", (f.col("v") + 1).alias("v"))))
report(
    "10M rows: group into 10k keys",
    lambda: kept(ten.groupBy((f.col("v") % 10_000).alias("k")).agg(f.sum("v").alias("v"))),
)
ten.unpersist(blocking=True)

left, right = rows(5_000_000, 0), rows(5_000_000, 77_777).withColumnRenamed("v", "w")
report("5M join 5M, not co-partitioned", lambda: left.join(right, "k").agg(f.sum("v")).collect())
by_key = [side.repartition(PARTITIONS, "k").sortWithinPartitions("k").cache() for side in (left, right)]
for side in by_key:
    side.count()
report("5M join 5M, co-partitioned", lambda: by_key[0].join(by_key[1], "k").agg(f.sum("v")).collect())
report("5M subtract 5M, co-partitioned", lambda: by_key[0].join(by_key[1], "k", "left_anti").agg(f.sum("v")).collect())
spark.stop()
