#!/usr/bin/env bash
# The main job with default settings: two parties with different columns about partly the same patients.
# Usage: demo.sh BINARY
set -euo pipefail

binary=$1
here=$(cd "$(dirname "$0")/.." && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
export TRIBUTARY_HOME=$home

echo '— the hospital (guest, party 9999) uploads the diagnosis and 10 columns'
"$binary" data upload --party 9999 --namespace experiment --name breast_guest --label y --file "$here/examples/breast/guest.csv"
echo
echo '— the laboratory (host, party 10000) uploads 20 columns of partly the same patients'
"$binary" data upload --party 10000 --namespace experiment --name breast_host --file "$here/examples/breast/host.csv"
echo
echo '— the job: reader, psi, hetero_feature_binning'
"$binary" run "$here/examples/breast/job.yaml"
echo
echo '— what the guest learned: how well each column of both parties predicts the diagnosis'
"$binary" output metric --party 9999 --role guest --task-name binning_0 --table
