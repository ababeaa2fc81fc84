#!/usr/bin/env bash
# Apache Pulsar: clusters `a` and `b`, a JVM each with broker, bookie and metadata, on loopback. They do not know each other: who joins them is
# who uses them. Logins are asked for: basic and token, the same in both clusters.
# In DIR/env, for each cluster (A, B): PULSAR_A_PORT, _TLS_PORT, _HTTP_PORT, _PID; for all: PULSAR_USER, PULSAR_PASSWORD and PULSAR_TOKEN (an
# administrator), PULSAR_STRANGER (the token of somebody who may do nothing), PULSAR_CERTIFICATES (a folder, see lib.sh). A test may put a cable
# of its own between PULSAR_A_CABLE_PORT and _BEHIND_PORT: clients that come there are told by the cluster to come there again.
# PULSAR_CLUSTERS='a' starts one. A cluster that was killed is started again by `start`. PULSAR_JIT=4 is for throughput, else for a quick start.
set -euo pipefail
SERVICE=pulsar
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/maven.sh"
VERSION=4.0.7

# The server's own archive is on no Maven repository; the broker's jar with what it needs is all of it that is used here.
svc_install() {
  command -v openssl >/dev/null && command -v curl >/dev/null || need_packages openssl curl
  command -v "${JAVA_HOME:+$JAVA_HOME/bin/}java" >/dev/null || need_packages openjdk-17-jre-headless
  jars "pulsar-$VERSION" \
    "<dependency><groupId>org.apache.pulsar</groupId><artifactId>pulsar-broker</artifactId><version>$VERSION</version></dependency>" \
    "<dependency><groupId>org.apache.pulsar</groupId><artifactId>pulsar</artifactId><version>$VERSION</version><type>pom</type><scope>import</scope></dependency>"
}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d =; }

# token NAME: a token of this user, signed with the clusters' key.
token() {
  local said
  said=$(printf '{"alg":"HS256"}' | base64url).$(printf '{"sub":"%s"}' "$1" | base64url)
  printf '%s.%s' "$said" "$(printf %s "$said" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$PULSAR_KEY" -binary | base64url)"
}

users() {
  keep PULSAR_USER tributary
  keep PULSAR_PASSWORD "$(openssl rand -hex 16)"
  keep PULSAR_KEY "$(openssl rand -hex 32)"
  put PULSAR_TOKEN "$(token "$PULSAR_USER")"
  put PULSAR_STRANGER "$(token stranger)"
  (umask 077 && printf '%s:%s\n' "$PULSAR_USER" "$(openssl passwd -apr1 "$PULSAR_PASSWORD")" >"$D/passwords")
}

configure() {
  local port=PULSAR_${1^^}_PORT tls=PULSAR_${1^^}_TLS_PORT http=PULSAR_${1^^}_HTTP_PORT key
  local behind=PULSAR_${1^^}_BEHIND_PORT cable=PULSAR_${1^^}_CABLE_PORT
  # A first start that was cut short leaves a bookie without its cookie, which no later start accepts.
  [ -f "$D/$1/complete" ] || rm -rf "${D:?}/$1"
  mkdir -p "$D/$1"
  key=$(printf %s "$PULSAR_KEY" | sed 's/../\\x&/g' | xargs -0 printf %b | openssl base64 -A)
  cat >"$D/$1/log4j2.xml" <<'XML'
<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %-5p %c{1} %m%n%xEx"/></Console></Appenders>
  <Loggers>
    <Logger name="org.eclipse.jetty.server.RequestLog" level="warn"/>
    <Root level="info"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
XML
  cat >"$D/$1/standalone.conf" <<CONF
# Who and where
clusterName=$1
bindAddress=127.0.0.1
brokerServicePort=${!port}
brokerServicePortTls=${!tls}
webServicePort=${!http}
webServicePortTls=
bindAddresses=cable:pulsar://127.0.0.1:${!behind}
advertisedListeners=plain:pulsar://127.0.0.1:${!port},plain:pulsar+ssl://localhost:${!tls},cable:pulsar://127.0.0.1:${!cable}
internalListenerName=plain
tlsCertificateFilePath=$D/tls/server.pem
tlsKeyFilePath=$D/tls/server.key
tlsTrustCertsFilePath=$D/tls/ca.pem
tlsRequireTrustedClientCertOnConnect=false
# Logins; the broker itself has one, also at the other cluster
authenticationEnabled=true
authenticationProviders=org.apache.pulsar.broker.authentication.AuthenticationProviderToken,org.apache.pulsar.broker.authentication.AuthenticationProviderBasic
authorizationEnabled=true
superUserRoles=$PULSAR_USER
tokenSecretKey=data:;base64,$key
basicAuthConf=file://$D/passwords
brokerClientAuthenticationPlugin=org.apache.pulsar.client.impl.auth.AuthenticationToken
brokerClientAuthenticationParameters=token:$PULSAR_TOKEN
# What is left behind goes soon
brokerDeleteInactiveTopicsFrequencySeconds=1
messageExpiryCheckIntervalInMinutes=1
# One bookie; its journal outlives a killed process, and not the machine
managedLedgerDefaultEnsembleSize=1
managedLedgerDefaultWriteQuorum=1
managedLedgerDefaultAckQuorum=1
journalSyncData=false
# Room for whole groups of entries: an entry that is written in pieces and cut off by a SIGKILL makes its ledger unreadable, and there is one copy
journalWriteBufferSizeKB=4096
allowLoopback=true
listeningInterface=lo
allowEphemeralPorts=true
ledgerStorageClass=org.apache.bookkeeper.bookie.storage.ldb.DbLedgerStorage
autoRecoveryDaemonEnabled=false
httpServerEnabled=false
diskUsageThreshold=0.99
diskUsageWarnThreshold=0.98
minUsableSizeForIndexFileCreation=1048576
minUsableSizeForEntryLogCreation=1048576
minUsableSizeForHighPriorityWrites=1048576
# Small and quick
brokerShutdownTimeoutMs=5000
loadBalancerEnabled=false
defaultNumberOfNamespaceBundles=4
transactionCoordinatorEnabled=false
webSocketServiceEnabled=false
functionsWorkerEnabled=false
managedLedgerCacheSizeMB=32
dbStorage_writeCacheMaxSizeMb=32
dbStorage_readAheadCacheMaxSizeMb=16
dbStorage_rocksDB_blockCacheSize=16777216
dbStorage_rocksDB_writeBufferSizeMB=4
numIOThreads=4
numHttpServerThreads=8
numOrderedExecutorThreads=4
numExecutorThreadPoolSize=4
numCacheExecutorThreadPoolSize=2
bookkeeperClientNumWorkerThreads=2
bookkeeperClientNumIoThreads=2
numJournalCallbackThreads=2
numAddWorkerThreads=1
numReadWorkerThreads=2
serverNumIOThreads=2
replicationConnectionsPerBroker=4
CONF
}

run_cluster() {
  local bookie=PULSAR_${1^^}_BOOKIE_PORT
  begin "$1" nice -n "${PULSAR_NICE:-0}" "${JAVA_HOME:+$JAVA_HOME/bin/}java" \
    -Xms128m "-Xmx${PULSAR_HEAP:-384m}" "-XX:MaxDirectMemorySize=${PULSAR_DIRECT:-384m}" \
    -XX:+UseSerialGC "-XX:TieredStopAtLevel=${PULSAR_JIT:-1}" -XX:-UsePerfData -XX:+ExitOnOutOfMemoryError "-Djava.io.tmpdir=$D/$1" \
    --add-opens java.base/java.nio=ALL-UNNAMED --add-opens java.base/sun.net=ALL-UNNAMED --add-opens java.base/jdk.internal.misc=ALL-UNNAMED \
    --add-opens java.base/jdk.internal.platform=ALL-UNNAMED --add-opens java.management/sun.management=ALL-UNNAMED \
    -Dio.netty.tryReflectionSetAccessible=true -Dio.netty.allocator.numDirectArenas=2 -Dio.netty.allocator.numHeapArenas=2 \
    -Dpulsar.allocator.exit_on_oom=true "-Dlog4j.configurationFile=$D/$1/log4j2.xml" \
    -Dbookkeeper.metadata.bookie.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataBookieDriver \
    -Dbookkeeper.metadata.client.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataClientDriver \
    -cp "$JARS/*" org.apache.pulsar.PulsarStandaloneStarter \
    --config "$D/$1/standalone.conf" --no-functions-worker --no-stream-storage \
    --bookkeeper-dir "$D/$1/bookkeeper" --bookkeeper-port "${!bookie}" --metadata-dir "$D/$1/metadata"
}

ask() { curl -fsS -m 20 -H "Authorization: Bearer $PULSAR_TOKEN" "http://127.0.0.1:$1/admin/v2/$2"; }

# The starter makes namespace public/default last; the health check sends a message and reads it.
serves() { ask "$1" namespaces/public && ask "$1" brokers/health; }

svc_start() {
  local name ports=() http
  keep PULSAR_CLUSTERS 'a b'
  for name in $PULSAR_CLUSTERS; do ports+=(PULSAR_"${name^^}"_{PORT,TLS_PORT,HTTP_PORT,BEHIND_PORT,CABLE_PORT,BOOKIE_PORT}); done
  keep_ports "${ports[@]}"
  certificates "$D/tls"
  put PULSAR_CERTIFICATES "$D/tls"
  users
  for name in $PULSAR_CLUSTERS; do
    alive "$name" >/dev/null && continue
    configure "$name"
    run_cluster "$name"
  done
  for name in $PULSAR_CLUSTERS; do
    http=PULSAR_${name^^}_HTTP_PORT
    await "$name" "${PULSAR_WAIT:-240}" serves "${!http}"
    touch "$D/$name/complete"
    put "PULSAR_${name^^}_PID" "$(alive "$name")"
  done
}

svc_stop() {
  local name pid
  for name in $(kept PULSAR_CLUSTERS); do
    ! pid=$(alive "$name") || kill -TERM "$pid" 2>/dev/null || true
  done
  for name in $(kept PULSAR_CLUSTERS); do finish "$name" 30; done
}

dispatch "$@"
