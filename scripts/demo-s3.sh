#!/usr/bin/env bash
# The main job twice: with tables in local folders, and in a bucket of an S3 server that runs meanwhile; then compares both.
# With a binary that has the feature ballista, a third time on a cluster whose executors read and write the bucket.
# Usage: demo-s3.sh BINARY
set -euo pipefail

binary=$1
. "$(dirname "$0")/demo-parts.sh"
home=$work/site
export TRIBUTARY_HOME=$home
mkdir "$home"
begin_service s3

run() { "$binary" run --quiet --job-id "$1" "$job"; }

echo '— the job with tables in local folders'
upload site site
run file

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
run s3
"$binary" table list --party 9999
jobs=(file s3)

if "$binary" cluster --help >/dev/null 2>&1; then
  echo
  echo '— and on a cluster, whose executors read and write the bucket'
  begin_cluster site
  printf 'default_engines: {storage: s3, computing: spark}\ncomputing: {spark: {cores: 2, nodes: 2}}\ncluster: {scheduler: "%s"}\n%s\n' "$CLUSTER" "$s3" >"$home/service_conf.yaml"
  run cluster
  jobs+=(cluster)
fi

echo
compare_jobs site "${jobs[@]}"
