"""Tables out, beside DuckDB: `tributary data download` to CSV and DuckDB's COPY, from the same Parquet file, two threads each, in
turns; the least of each counts.

    tables.py BINARY [ROWS]     default: 5,000,000 rows of 20 columns

Prints a JSON line for each measurement. Fails where a limit is missed: 1.5 times DuckDB, 512 MiB of memory, 50 ms for a look.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

THREADS = 2
REPEAT = 5
MOST = {"download_to_duckdb": 1.5, "peak_mib": 512.0, "preview_ms": 50.0, "query_ms": 50.0}

# Its own time, without that of starting Python.
RIVAL = """
import duckdb, sys, time
source, target, threads = sys.argv[1:]
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")
connection.execute(f"SET threads = {threads}")
began = time.perf_counter()
connection.execute(f"COPY (SELECT * FROM read_parquet('{source}')) TO '{target}' (FORMAT csv, HEADER)")
print(time.perf_counter() - began)
"""


def make(path, rows):
    """Ids, six integers, eight floats, three texts, a date and a time; one value in twenty is missing."""
    integers = ", ".join(f"(hash(i + {n}) % 1000000)::BIGINT AS i{n}" for n in range(6))
    floats = ", ".join(f"(hash(i * 31 + {n}) % 100000000) / 1000.0::DOUBLE AS f{n}" for n in range(8))
    texts = ", ".join(f"CASE WHEN hash(i * 7 + {n}) % 20 > 0 THEN 'value ' || (hash(i + {n}) % 10000) END AS t{n}" for n in range(3))
    connection = duckdb.connect()
    connection.execute(f"SET threads = {THREADS}")
    connection.execute(
        f"""COPY (SELECT 'customer-' || lpad(i::text, 10, '0') AS id, {integers}, {floats}, {texts},
                DATE '2000-01-01' + (hash(i) % 9000)::INTEGER AS day,
                TIMESTAMP '2000-01-01' + to_microseconds((hash(i * 3) % 800000000000000)::BIGINT) AS seen
            FROM range({rows}) AS numbers(i)) TO '{path}' (FORMAT parquet)"""
    )


def run(command):
    """Seconds, MiB at the peak, and output of a command that must succeed."""
    began, peak = time.perf_counter(), 0.0
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    # Its own peak: what the system counts of an ended child includes ours, from which it was forked.
    while child.poll() is None:
        try:
            status = Path(f"/proc/{child.pid}/status").read_text()
        except OSError:
            break
        found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        peak = max([peak, *(int(kib) / 1024 for kib in found)])
        time.sleep(0.002)
    said = child.stdout.read()
    if child.wait() != 0:
        sys.exit(f"error: {' '.join(map(str, command))} ended with {child.returncode}")
    return time.perf_counter() - began, peak, said


def main(binary, rows=5_000_000):
    scratch = os.environ.get("BENCH_FOLDER")
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        folder = Path(folder)
        source = folder / "table.parquet"
        make(source, int(rows))
        ours = [binary, "--home", folder / "home"]
        table = ["--party", "1", "--namespace", "bench", "--name", "table"]
        run([*ours, "table", "bind", *table, "--file", source])

        times, peaks, sizes = {"tributary": [], "duckdb": []}, [], {}
        for _ in range(REPEAT):
            for name in times:
                target = folder / f"{name}.csv"
                target.unlink(missing_ok=True)
                if name == "tributary":
                    command = [*ours, "data", "download", *table, "--output", target, "--threads", str(THREADS)]
                else:
                    command = [sys.executable, "-c", RIVAL, source, target, str(THREADS)]
                seconds, peak, said = run(command)
                times[name].append(seconds if name == "tributary" else float(said.split()[-1]))
                sizes[name] = target.stat().st_size
                target.unlink()
                if name == "tributary":
                    peaks.append(peak)
        looks = {name: min(run([*ours, "table", name, *table])[0] for _ in range(10)) for name in ["preview", "query"]}

    least = {name: min(seconds) for name, seconds in times.items()}
    found = {
        "rows": int(rows),
        "csv_mb": {name: round(size / 1e6, 1) for name, size in sizes.items()},
        "seconds": {name: round(seconds, 3) for name, seconds in least.items()},
        "all_seconds": {name: [round(second, 3) for second in seconds] for name, seconds in times.items()},
        "download_to_duckdb": round(least["tributary"] / least["duckdb"], 3),
        "peak_mib": round(max(peaks), 1),
        "preview_ms": round(looks["preview"] * 1000, 1),
        "query_ms": round(looks["query"] * 1000, 1),
    }
    print(json.dumps({"bench": "tables", **found}))
    missed = [f"{name}: {found[name]}, at most {most}" for name, most in MOST.items() if found[name] > most]
    if missed:
        sys.exit("error: " + "; ".join(missed))


if __name__ == "__main__":
    main(*sys.argv[1:])
