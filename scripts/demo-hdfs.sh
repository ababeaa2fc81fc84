#!/usr/bin/env bash
# The main job as two organisations run FATE on Spark, with servers of this machine: each site computes on a cluster of its own and keeps its
# tables in HDFS, and they talk through a RabbitMQ broker. Compared with the same job in one process and local folders.
# Usage: demo-hdfs.sh BINARY
set -euo pipefail

binary=$1
. "$(dirname "$0")/demo-parts.sh"

echo '— the job in one process with tables in local folders, to compare with'
mkdir "$work/one"
upload one one
at one run --quiet --job-id one "$job"

echo
echo '— HDFS starts, of one name node and three data nodes, and a RabbitMQ broker'
export RABBITMQ_BROKERS=a
begin_service hdfs
begin_service rabbitmq

configure() { # site, party id
  begin_cluster "$1"
  cat >"$work/$1/service_conf.yaml" <<YAML
party_id: '$2'
default_engines: {computing: spark, storage: hdfs, federation: rabbitmq}
computing:
  spark: {cores: 2, nodes: 2}
cluster:
  scheduler: "$CLUSTER"
storage:
  hdfs: {name_node: '$HDFS_URI', path_prefix: '/fate/{party}'}
federation:
  rabbitmq: {mode: client, host: 127.0.0.1, port: $RABBITMQ_A_PORT, mng_port: $RABBITMQ_A_HTTP_PORT, user: $RABBITMQ_USER, password: '\${RABBITMQ_PASSWORD}'}
YAML
}

echo
echo '— each site: a cluster of a scheduler and two executors of one core, and one file of settings'
configure hospital 9999
configure laboratory 10000
cat "$work/hospital/service_conf.yaml"

echo
echo '— both sites make their keys, exchange cards, and trust each other; then each uploads its table'
at hospital site init >/dev/null
at laboratory site init >/dev/null
trust
upload hospital laboratory

echo
echo '— the job'
run_both hdfs
compare 'on clusters, HDFS and a broker'

echo
at hospital table list --party 9999
at laboratory table list --party 10000
"$HDFS_CLI" dfs -count /fate/9999 /fate/10000 | awk '{ printf "in HDFS below %s: %d files in %d folders, %d bytes\n", $4, $2, $1, $3 }'
for each in hospital laboratory; do at "$each" cluster status; done
