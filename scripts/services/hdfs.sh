#!/usr/bin/env bash
# HDFS: a name node, or two of which one stands by, and data nodes, a JVM each, on loopback. From Maven; nothing is said about passwords: whoever
# connects is believed to be who he says, unless Kerberos is asked for.
# In DIR/env: HDFS_URI, HADOOP_CONF_DIR (what clients need to know; for two name nodes or Kerberos they need it), HDFS_USER (who may do
# anything), HDFS_NN1_PID, HDFS_DN1_PID, … (to be killed), HDFS_ACTIVE (nn1 or nn2), HDFS_CLI (Hadoop's own program for this cluster:
# dfs, dfsadmin, haadmin, fsck; with Kerberos it needs KRB5CCNAME=$HDFS_TICKETS). `start` starts again what was killed.
# HDFS_DATA_NODES (3) is their number; HDFS_STANDBY=1 is for two name nodes; HDFS_KERBEROS is the folder of a running krb5.sh; HDFS_JIT=4 is for
# throughput, else for a quick start; HDFS_NICE the niceness.
set -euo pipefail
SERVICE=hdfs
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/maven.sh"
VERSION=3.4.2
NAME_SERVICE=tributary
JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}java

svc_install() {
  command -v curl >/dev/null || need_packages curl
  command -v "$JAVA" >/dev/null || need_packages openjdk-17-jre-headless
  local each wanted=
  for each in hadoop-common hadoop-hdfs hadoop-hdfs-client; do
    wanted+="<dependency><groupId>org.apache.hadoop</groupId><artifactId>$each</artifactId><version>$VERSION</version></dependency>"
  done
  wanted+="<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId><version>1.7.36</version></dependency>"
  jars "hadoop-$VERSION" "$wanted" \
    "<dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-project</artifactId><version>$VERSION</version><type>pom</type><scope>import</scope></dependency>"
}

port() { local name=HDFS_${1^^}_${2-}PORT && printf '%s' "${!name}"; }

# properties NAME VALUE...: a configuration file.
properties() {
  echo '<?xml version="1.0"?>'
  echo '<configuration>'
  while [ $# -gt 0 ]; do
    printf '  <property><name>%s</name><value>%s</value></property>\n' "$1" "$2"
    shift 2
  done
  echo '</configuration>'
}

# What all sides of Kerberos must agree on. Sets COMMON.
kerberos() {
  local realm key=$HDFS_KERBEROS/services.keytab principal side
  realm=$(sed -n "s/^export KRB5_REALM='\(.*\)'\$/\1/p" "$HDFS_KERBEROS/env")
  principal=hdfs/localhost@$realm
  CORE+=(hadoop.security.authentication kerberos hadoop.security.authorization true hadoop.rpc.protection privacy
    hadoop.security.auth_to_local "RULE:[2:\$1](hdfs)s/.*/$(id -un)/ DEFAULT" hadoop.security.token.service.use_ip true)
  for side in namenode datanode; do
    COMMON+=("dfs.$side.kerberos.principal" "$principal" "dfs.$side.keytab.file" "$key")
  done
  # The last one lets data nodes listen on ports that need no root.
  COMMON+=(dfs.namenode.kerberos.principal.pattern '*' dfs.web.authentication.kerberos.principal "HTTP/localhost@$realm"
    dfs.web.authentication.kerberos.keytab "$key" dfs.block.access.token.enable true dfs.data.transfer.protection privacy
    ignore.secure.ports.for.testing true)
}

# Sets CORE and COMMON: what clients, name nodes and data nodes are told alike.
agreed() {
  local node
  CORE=(fs.defaultFS "$HDFS_URI" hadoop.tmp.dir "$D/tmp" ipc.client.connect.max.retries 3)
  # As many data nodes as copies: one that failed has no substitute.
  COMMON=(dfs.client.block.write.replace-datanode-on-failure.policy NEVER dfs.replication 3)
  [ -z "$HDFS_KERBEROS" ] || kerberos
  if [ "$HDFS_STANDBY" != 1 ]; then
    COMMON+=(dfs.namenode.rpc-address "127.0.0.1:$(port nn1)" dfs.namenode.http-address "127.0.0.1:$(port nn1 HTTP_)")
    return
  fi
  COMMON+=(dfs.nameservices $NAME_SERVICE dfs.ha.namenodes.$NAME_SERVICE nn1,nn2 dfs.ha.fencing.methods 'shell(/bin/true)'
    dfs.client.failover.proxy.provider.$NAME_SERVICE org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider)
  for node in nn1 nn2; do
    COMMON+=("dfs.namenode.rpc-address.$NAME_SERVICE.$node" "127.0.0.1:$(port $node)"
      "dfs.namenode.http-address.$NAME_SERVICE.$node" "127.0.0.1:$(port $node HTTP_)")
  done
}

# configure FOLDER LEVEL NAME VALUE...: the configuration of one process.
configure() {
  local folder=$1 level=$2
  shift 2
  # The jars have no web pages, whose folders must exist.
  mkdir -p "$folder/webapps"/{hdfs,datanode,static}
  properties "${CORE[@]}" >"$folder/core-site.xml"
  properties "${COMMON[@]}" "$@" >"$folder/hdfs-site.xml"
  printf '%s\n' "log4j.rootLogger=$level,out" log4j.appender.out=org.apache.log4j.ConsoleAppender log4j.appender.out.target=System.err \
    log4j.appender.out.layout=org.apache.log4j.PatternLayout 'log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n' \
    >"$folder/log4j.properties"
}

# machine HEAP CONFIGURATION: sets MACHINE, what begins a command that runs a class.
machine() {
  MACHINE=(nice -n "${HDFS_NICE:-0}" "$JAVA" "-Xmx$1" -XX:+UseSerialGC "-XX:TieredStopAtLevel=${HDFS_JIT:-1}" -XX:-UsePerfData
    -XX:+ExitOnOutOfMemoryError -Djava.net.preferIPv4Stack=true "-Djava.io.tmpdir=$D/tmp" "-Dhadoop.log.dir=$LOG"
    --add-opens java.base/java.lang=ALL-UNNAMED --add-opens java.base/java.nio=ALL-UNNAMED
    --add-opens java.security.jgss/sun.security.krb5=ALL-UNNAMED)
  [ -z "$HDFS_KERBEROS" ] || MACHINE+=("-Djava.security.krb5.conf=$HDFS_KERBEROS/krb5.conf")
  MACHINE+=(-cp "$2:$JARS/*")
}

client() {
  configure "$D/client" WARN
  machine 128m "$D/client"
  {
    echo '#!/usr/bin/env bash'
    echo 'case ${1-} in dfs) class=fs.FsShell ;; dfsadmin) class=hdfs.tools.DFSAdmin ;; haadmin) class=hdfs.tools.DFSHAAdmin ;; fsck) class=hdfs.tools.DFSck ;; *) echo "usage: $0 dfs | dfsadmin | haadmin | fsck ..." >&2; exit 2 ;; esac'
    echo shift
    printf 'exec'
    printf ' %q' "${MACHINE[@]}"
    echo ' org.apache.hadoop.$class "$@"'
  } >"$D/hdfs"
  chmod 755 "$D/hdfs"
  put HDFS_CLI "$D/hdfs"
  put HADOOP_CONF_DIR "$D/client"
}

# Nodes that do not answer are dead after 14 s, and not written to after 4.
name_node() {
  local own=(dfs.namenode.name.dir "file://$D/$1/names")
  [ "$HDFS_STANDBY" != 1 ] || own+=(dfs.ha.namenode.id "$1" dfs.namenode.shared.edits.dir "file://$D/edits"
    dfs.ha.tail-edits.period 1s dfs.ha.log-roll.period 10s)
  configure "$D/$1" INFO "${own[@]}" dfs.namenode.datanode.registration.ip-hostname-check false \
    dfs.namenode.heartbeat.recheck-interval 2000 dfs.heartbeat.interval 1 dfs.namenode.stale.datanode.interval 4000 \
    dfs.namenode.avoid.read.stale.datanode true dfs.namenode.avoid.write.stale.datanode true dfs.namenode.safemode.extension 0 \
    dfs.namenode.fs-limits.min-block-size 1024 dfs.namenode.handler.count 8 dfs.namenode.redundancy.interval.seconds 1s
  machine 192m "$D/$1"
  if [ ! -f "$D/$1/names/current/VERSION" ]; then
    if [ "$1" = nn1 ]; then
      "${MACHINE[@]}" org.apache.hadoop.hdfs.server.namenode.NameNode -format -force -nonInteractive >"$LOG/format.out" 2>&1 </dev/null ||
        { tail -n 20 "$LOG/format.out" >&2; die 'the name node could not be formatted'; }
    else
      cp -r "$D/nn1/names" "$D/$1/names"
    fi
  fi
}

data_node() {
  configure "$D/$1" INFO dfs.datanode.data.dir "file://$D/$1/data" dfs.datanode.hostname 127.0.0.1 \
    dfs.datanode.address "127.0.0.1:$(port "$1")" dfs.datanode.http.address "127.0.0.1:$(port "$1" HTTP_)" \
    dfs.datanode.ipc.address "127.0.0.1:$(port "$1" IPC_)" dfs.heartbeat.interval 1 dfs.blockreport.initialDelay 0s dfs.datanode.du.reserved 0
  machine 96m "$D/$1"
}

# asked NODE BEAN: what a node says about itself.
asked() { curl -fsS -m 5 "http://127.0.0.1:$(port "$1" HTTP_)/jmx?qry=Hadoop:service=$2"; }
is_up() { asked "$1" NameNode,name=NameNodeStatus | grep -Eq '"State" : "(active|standby)"'; }
is_active() { asked "$1" NameNode,name=NameNodeStatus | grep -q '"State" : "active"'; }
# This data node has registered since it was started.
is_registered() { asked "$1" DataNode,name=DataNodeInfo | grep -q 'ActorState[^A-Z]*RUNNING'; }
# It is out of safe mode, and all data nodes have come.
is_whole() { asked "$1" NameNode,name=FSNamesystemState | tr -d '\n' | grep -Eq "\"FSState\" : \"Operational\".*\"NumLiveDataNodes\" : $HDFS_DATA_NODES[^0-9]"; }

# Of two name nodes, none is active by itself.
activate() {
  put HDFS_ACTIVE nn1
  [ "$HDFS_STANDBY" = 1 ] || return 0
  if is_active nn2; then
    put HDFS_ACTIVE nn2
    return
  fi
  [ -z "$HDFS_KERBEROS" ] || export KRB5CCNAME="FILE:$HDFS_TICKETS"
  "$D/hdfs" haadmin -transitionToActive nn1 >"$LOG/haadmin.out" 2>&1 || { tail -n 5 "$LOG/haadmin.out" >&2; die 'nn1 could not be made active'; }
}

svc_start() {
  local node number name_nodes=nn1 data_nodes= ports=()
  keep HDFS_DATA_NODES 3
  keep HDFS_STANDBY 0
  keep HDFS_KERBEROS ''
  [ "$HDFS_STANDBY" != 1 ] || name_nodes='nn1 nn2'
  for ((number = 1; number <= HDFS_DATA_NODES; number++)); do data_nodes+=" dn$number"; done
  for node in $name_nodes; do ports+=(HDFS_"${node^^}"_{PORT,HTTP_PORT}); done
  for node in $data_nodes; do ports+=(HDFS_"${node^^}"_{PORT,HTTP_PORT,IPC_PORT}); done
  keep_ports "${ports[@]}"
  mkdir -p "$D/tmp"
  put HDFS_USER "$(id -un)"
  put HDFS_URI "hdfs://127.0.0.1:$HDFS_NN1_PORT"
  [ "$HDFS_STANDBY" != 1 ] || put HDFS_URI "hdfs://$NAME_SERVICE"
  if [ -n "$HDFS_KERBEROS" ]; then
    export KRB5_CONFIG=$HDFS_KERBEROS/krb5.conf
    put KRB5_CONFIG "$KRB5_CONFIG"
    put HDFS_TICKETS "$RUN/tickets"
    kinit -c "FILE:$HDFS_TICKETS" -k -t "$HDFS_KERBEROS/services.keytab" hdfs/localhost
  fi
  agreed
  client
  for node in $name_nodes; do
    name_node "$node"
    alive "$node" >/dev/null || begin "$node" "${MACHINE[@]}" org.apache.hadoop.hdfs.server.namenode.NameNode
  done
  for node in $data_nodes; do
    data_node "$node"
    alive "$node" >/dev/null || begin "$node" "${MACHINE[@]}" org.apache.hadoop.hdfs.server.datanode.DataNode
  done
  for node in $name_nodes; do await "$node" "${HDFS_WAIT:-240}" is_up "$node"; done
  activate
  for node in $data_nodes; do await "$node" "${HDFS_WAIT:-240}" is_registered "$node"; done
  await "$HDFS_ACTIVE" "${HDFS_WAIT:-240}" is_whole "$HDFS_ACTIVE"
  for node in $name_nodes $data_nodes; do put "HDFS_${node^^}_PID" "$(alive "$node")"; done
}

svc_stop() {
  local node pid file
  for file in "$RUN"/*.pid; do
    node=$(basename "$file" .pid)
    ! pid=$(alive "$node") || kill -TERM "$pid" 2>/dev/null || true
  done
  for file in "$RUN"/*.pid; do
    node=$(basename "$file" .pid)
    [ "$node" = '*' ] || finish "$node" 20
  done
}

dispatch "$@"
