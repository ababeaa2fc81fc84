#!/usr/bin/env python3
"""Finds tests that depend on a machine's speed or luck: runs every suite many times, on an idle machine and on a busy
one, with few and many threads, and reports how often each test failed. Not part of `make test`: it takes hours.

    scripts/repeat-tests.py                          all suites, 20 times each way
    scripts/repeat-tests.py --times 5 --suite table  only suites with "table" in their name
    scripts/repeat-tests.py -- --package tributary-file --features …    as `cargo test` would be called

A failed test is never retried. Outputs of failed runs are in $CARGO_TARGET_DIR/repeat-tests, or target/repeat-tests.
Exit code 1 if anything failed. CARGO names another cargo.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys

HANGS = 1800


def suites(arguments):
    """Every test program, with the folder of its package; built if necessary."""
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "test", "--no-run", "--message-format=json", *(arguments or ["--workspace"])]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in output.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("executable") and message.get("profile", {}).get("test"):
            folder = pathlib.Path(message["manifest_path"]).parent
            package = message["package_id"].split("#")[0].rsplit("/", 1)[-1]
            yield f"{package}/{message['target']['name']}", message["executable"], folder


class Load:
    """Keeps all cores busy twice over."""

    def __init__(self, busy):
        self.count = 2 * (os.cpu_count() or 1) if busy else 0

    def __enter__(self):
        self.processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(self.count)]

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def failures(program, folder, threads):
    """Names of the tests that failed, and all that was said."""
    environment = {**os.environ, "CARGO_MANIFEST_DIR": str(folder)}
    command = [program, f"--test-threads={threads}"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=HANGS
        )
    except subprocess.TimeoutExpired as reason:
        return ["hangs"], reason.stdout or b""
    if done.returncode == 0:
        return [], b""
    names = re.findall(r"^test (.+?)(?: - should panic)? \.\.\. FAILED$", done.stdout.decode(errors="replace"), re.M)
    return names or [f"ended with {done.returncode}"], done.stdout


def main():
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usage.add_argument("--times", type=int, default=20)
    usage.add_argument("--threads", default="1,2,8")
    usage.add_argument("--load", choices=["idle", "busy", "both"], default="both")
    usage.add_argument("--suite", action="append", default=[], help="only suites whose name has this in it")
    usage.add_argument("cargo", nargs="*", metavar="-- CARGO ARGUMENTS")
    given = usage.parse_args()
    all_suites = list(suites(given.cargo))
    chosen = [suite for suite in all_suites if not given.suite or any(part in suite[0] for part in given.suite)]
    logs = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "repeat-tests"
    logs.mkdir(parents=True, exist_ok=True)
    failed, runs = collections.Counter(), 0
    loads = {"idle": [False], "busy": [True], "both": [False, True]}[given.load]
    for busy in loads:
        with Load(busy):
            for threads in given.threads.split(","):
                for time in range(given.times):
                    for name, program, folder in chosen:
                        runs += 1
                        names, output = failures(program, folder, threads)
                        way = f"{'busy' if busy else 'idle'}, {threads} threads"
                        for test in names:
                            failed[name, test, way] += 1
                        if names:
                            log = logs / f"{name.replace('/', '-')}-{'busy' if busy else 'idle'}-{threads}-{time}.log"
                            log.write_bytes(output)
                            print(f"{name}: {', '.join(names)} ({way}); see {log}", flush=True)
    print(f"{len(chosen)} suites, {runs} runs, each {given.times} times a way")
    for (name, test, way), count in sorted(failed.items()):
        print(f"{count:4} of {given.times}  {name}  {test}  ({way})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
