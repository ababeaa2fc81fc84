#!/usr/bin/env bash
# Every measurement, in release, on two cores; one that misses its limit does not stop the others. Usage: bench.sh BINARY
# Uploads and downloads are compared with DuckDB, in the environment that the tests use too.
set -euo pipefail

cd "$(dirname "$0")/.."
python=$(scripts/python.sh)
failed=0
cargo run --release --quiet --package tributary-bench --bin jobs -- "$1" || failed=1
cargo run --release --quiet --package tributary-bench --bin uploads -- "$1" "$python" || failed=1
"$python" bench/tables.py "$1" || failed=1
python3 bench/sites.py "$1" || failed=1
for arithmetic in portable adx avx512; do # falls back to the next best where the processor lacks one
  TRIBUTARY_ARITHMETIC=$arithmetic cargo bench --package tributary-paillier --bench paillier || failed=1
  TRIBUTARY_ARITHMETIC=$arithmetic cargo bench --package tributary-boost --bench sums || failed=1
done
TRIBUTARY_PYTHON=$python cargo bench --package tributary-evaluation --bench evaluation || failed=1
cargo bench --package tributary-bench --features rivals,cluster || failed=1
[ $failed = 0 ] || { echo 'error: a measurement failed, or missed its limit; see above' >&2; exit 1; }
