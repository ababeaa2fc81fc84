#!/usr/bin/env bash
# Every measurement, in release, on two cores. Usage: bench.sh BINARY
set -euo pipefail

cd "$(dirname "$0")/.."
cargo run --release --quiet --package tributary-bench --bin jobs -- "$1"
cargo bench --package tributary-bench --features rivals,cluster
