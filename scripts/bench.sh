#!/usr/bin/env bash
# Every measurement, in release, on two cores. Usage: bench.sh BINARY
# The rival of uploads and downloads is DuckDB, in the environment that the tests use too.
set -euo pipefail

cd "$(dirname "$0")/.."
python=$(scripts/python.sh)
cargo run --release --quiet --package tributary-bench --bin jobs -- "$1"
cargo run --release --quiet --package tributary-bench --bin uploads -- "$1" "$python"
"$python" bench/tables.py "$1"
cargo bench --package tributary-bench --features rivals,cluster
