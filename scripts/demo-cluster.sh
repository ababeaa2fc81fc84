#!/usr/bin/env bash
# The main job twice: on the cores of this process, and on a cluster of one scheduler and two executors; then compares both.
# Usage: demo-cluster.sh BINARY
set -euo pipefail

binary=$1
. "$(dirname "$0")/demo-parts.sh"
home=$work/site
export TRIBUTARY_HOME=$home
mkdir "$home"

upload site site
echo '— the job on the cores of this process'
"$binary" run --quiet --job-id standalone "$job"

echo
echo '— a cluster: one scheduler, two executors of one core'
begin_cluster site
cat "$home/cluster.log"
cat >"$home/service_conf.yaml" <<YAML
default_engines: {computing: spark}
computing: {spark: {cores: 2, nodes: 2}}
cluster: {scheduler: "$CLUSTER"}
YAML

echo
echo '— the same job on the cluster: one file was edited'
"$binary" run --quiet --job-id cluster "$job"
"$binary" cluster status

echo
cp "$home/service_conf.yaml" "$home/cluster.yaml"
echo 'default_engines: {computing: standalone}' >"$home/standalone.yaml"
# Seconds of the job's median run, on the engine of a configuration.
median() {
  for i in 1 2 3 4 5 6 7; do
    "$binary" run --quiet --service-conf "$home/$1.yaml" --job-id "$1-$i" "$job" >/dev/null
    "$binary" job show --job-id "$1-$i" --party 9999 | sed -n 's/^seconds *//p'
  done | sort -n | sed -n 4p
}
actions=0
for side in "9999 guest" "10000 host"; do
  read -r party role <<<"$side"
  for task in reader_0 psi_0 binning_0; do
    n=$("$binary" output cost --job-id cluster --party "$party" --role "$role" --task-name "$task" | sed -n 's/^ *"actions": \([0-9]*\).*/\1/p')
    actions=$((actions + n))
  done
done
# The parties' actions overlap, but are counted as if they ran one after another.
awk -v a="$(median standalone)" -v b="$(median cluster)" -v n="$actions" 'BEGIN {
  printf "median of 7: %s s on this process, %s s on the cluster; %d actions, %.1f ms each\n", a, b, n, (b - a) * 1000 / n }'

echo
compare_jobs site standalone cluster
