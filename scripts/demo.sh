#!/usr/bin/env bash
# A training with default settings: two parties with different columns about partly the same patients.
# Usage: demo.sh BINARY [PAGE]
#   PAGE   the report of the job; it stays after the end [default: beside the binary]
set -euo pipefail

binary=$1
page=${2:-$(dirname "$binary")/demo-report.html}
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
echo '— the job: common patients, how well each column predicts, trees on 70% of them, how well those predict the others'
"$binary" run "$here/examples/breast/train.yaml"
echo
echo '— what the guest learned: how well each column of both parties predicts the diagnosis'
"$binary" output metric --party 9999 --role guest --task-name binning_0 --table
echo '— how well the trees predict it: auc is 1 at best, and 0.5 by guessing'
"$binary" output metric --party 9999 --role guest --task-name eval_0 --table
echo '— all of it on one page, with pictures'
"$binary" job report --party 9999 --output "$page" --overwrite
