#!/usr/bin/env bash
# The main job twice: on the cores of this process, and on a cluster of one scheduler and two executors; then compares both.
# Usage: demo-cluster.sh BINARY
set -euo pipefail

binary=$1
here=$(cd "$(dirname "$0")/.." && pwd)
home=$(mktemp -d)
export TRIBUTARY_HOME=$home
cluster=
stop() {
  if [ -n "$cluster" ]; then kill -INT "$cluster" 2>/dev/null && wait "$cluster" || true; fi
  rm -rf "$home"
}
trap stop EXIT

"$binary" data upload --party 9999 --namespace experiment --name breast_guest --label y --file "$here/examples/breast/guest.csv" >/dev/null
"$binary" data upload --party 10000 --namespace experiment --name breast_host --file "$here/examples/breast/host.csv" >/dev/null

echo '— the job on the cores of this process'
"$binary" run --quiet --job-id standalone "$here/examples/breast/job.yaml"

echo
echo '— a cluster: one scheduler, two executors of one core'
"$binary" cluster up --executors 2 --cores 1 --port 0 >"$home/cluster.log" &
cluster=$!
for _ in $(seq 300); do
  grep -q 'cluster ready' "$home/cluster.log" && break
  kill -0 "$cluster" 2>/dev/null || { cat "$home/cluster.log"; echo 'error: the cluster ended' >&2; exit 1; }
  sleep 0.1
done
cat "$home/cluster.log"
address=$(sed -n 's/^cluster ready at \([^ ]*\): .*/\1/p' "$home/cluster.log")
cat >"$home/service_conf.yaml" <<YAML
default_engines: {computing: spark}
computing: {spark: {cores: 2, nodes: 2}}
cluster: {scheduler: "$address"}
YAML

echo
echo '— the same job on the cluster: one file was edited'
"$binary" run --quiet --job-id cluster "$here/examples/breast/job.yaml"
"$binary" cluster status

echo
cp "$home/service_conf.yaml" "$home/cluster.yaml"
echo 'default_engines: {computing: standalone}' >"$home/standalone.yaml"
# Seconds of the job's median run, on the engine of a configuration.
median() {
  for i in 1 2 3 4 5 6 7; do
    "$binary" run --quiet --service-conf "$home/$1.yaml" --job-id "$1-$i" "$here/examples/breast/job.yaml" >/dev/null
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
for what in metric model; do
  for side in "9999 guest" "10000 host"; do
    read -r party role <<<"$side"
    for job in standalone cluster; do
      "$binary" output $what --job-id $job --party "$party" --role "$role" --task-name binning_0 >"$home/$job.json"
    done
    # Encryption keys and job ids differ from run to run; the results do not.
    diff <(sed 's/standalone/JOB/g' "$home/standalone.json") <(sed 's/cluster/JOB/g' "$home/cluster.json") >/dev/null ||
      { echo "error: the ${what}s of $role $party differ" >&2; diff "$home/standalone.json" "$home/cluster.json" | head -20 >&2; exit 1; }
    echo "equal: ${what}s of $role $party"
  done
done
