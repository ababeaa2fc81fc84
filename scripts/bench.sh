#!/usr/bin/env bash
# Every measurement, in release, on two cores. Usage: bench.sh BINARY
# The rival of uploads is DuckDB's Python package, which is installed beside the build output.
set -euo pipefail

cd "$(dirname "$0")/.."
cargo run --release --quiet --package tributary-bench --bin jobs -- "$1"
rivals="${CARGO_TARGET_DIR:-target}/rivals"
[[ -x $rivals/bin/python ]] || python3 -m venv "$rivals"
"$rivals/bin/pip" install --quiet duckdb==2.0.1
cargo run --release --quiet --package tributary-bench --bin uploads -- "$1" "$rivals/bin/python"
cargo bench --package tributary-bench --features rivals,cluster
"$(scripts/python.sh)" bench/tables.py "$1"
