#!/usr/bin/env bash
# The main job twice: with tables in local folders, and in a bucket of an S3 server that runs meanwhile; then compares both.
# With a binary that has the feature ballista, a third time on a cluster whose executors read and write the bucket.
# Usage: demo-s3.sh BINARY
set -euo pipefail

binary=$1
here=$(cd "$(dirname "$0")/.." && pwd)
home=$(mktemp -d)
server=$(mktemp -d)
export TRIBUTARY_HOME=$home
cluster=
stop() {
  if [ -n "$cluster" ]; then kill -INT "$cluster" 2>/dev/null && wait "$cluster" || true; fi
  "$here/scripts/services/s3.sh" stop "$server"
  rm -rf "$home" "$server"
}
trap stop EXIT

"$here/scripts/services/s3.sh" start "$server"
. "$server/env"

upload() {
  "$binary" data upload --party 9999 --namespace experiment --name breast_guest --label y --file "$here/examples/breast/guest.csv" "$@" >/dev/null
  "$binary" data upload --party 10000 --namespace experiment --name breast_host --file "$here/examples/breast/host.csv" "$@" >/dev/null
}
job() { "$binary" run --quiet --job-id "$1" "$here/examples/breast/job.yaml"; }

echo '— the job with tables in local folders'
upload
job file

echo
echo '— one file is edited: new tables go to the bucket'
s3=$(cat <<YAML
storage:
  s3:
    bucket: $S3_BUCKET
    endpoint: $S3_ENDPOINT
    access_key_id: \${S3_ACCESS_KEY}
    secret_access_key: \${S3_SECRET_KEY}
YAML
)
printf 'default_engines: {storage: s3}\n%s\n' "$s3" | tee "$home/service_conf.yaml"
for side in "9999 breast_guest" "10000 breast_host"; do
  read -r party name <<<"$side"
  "$binary" table copy --quiet --party "$party" "experiment/$name" "experiment/far_$name"
  "$binary" table delete --party "$party" --namespace experiment --name "$name"
  "$binary" table rename --party "$party" --namespace experiment --name "far_$name" --to-name "$name"
done
echo
echo '— the same job, with tables in the bucket'
job s3
"$binary" table list --party 9999
jobs=(file s3)

if "$binary" cluster --help >/dev/null 2>&1; then
  echo
  echo '— and on a cluster, whose executors read and write the bucket'
  "$binary" cluster up --executors 2 --cores 1 --port 0 >"$home/cluster.log" &
  cluster=$!
  for _ in $(seq 300); do
    grep -q 'cluster ready' "$home/cluster.log" && break
    kill -0 "$cluster" 2>/dev/null || { cat "$home/cluster.log"; echo 'error: the cluster ended' >&2; exit 1; }
    sleep 0.1
  done
  address=$(sed -n 's/^cluster ready at \([^ ]*\): .*/\1/p' "$home/cluster.log")
  printf 'default_engines: {storage: s3, computing: spark}\ncomputing: {spark: {cores: 2, nodes: 2}}\ncluster: {scheduler: "%s"}\n%s\n' "$address" "$s3" >"$home/service_conf.yaml"
  job cluster
  jobs+=(cluster)
fi

echo
for what in metric model; do
  for side in "9999 guest" "10000 host"; do
    read -r party role <<<"$side"
    for one in "${jobs[@]}"; do
      # Encryption keys and job ids differ from run to run; the results do not.
      "$binary" output $what --job-id "$one" --party "$party" --role "$role" --task-name binning_0 | sed "s/\"$one\"/\"JOB\"/g" >"$home/$one.json"
      diff "$home/file.json" "$home/$one.json" >"$home/differs" ||
        { echo "error: the ${what}s of $role $party differ with tables in $one" >&2; head -20 "$home/differs" >&2; exit 1; }
    done
    echo "equal: ${what}s of $role $party"
  done
done
