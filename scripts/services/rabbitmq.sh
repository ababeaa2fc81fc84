#!/usr/bin/env bash
# RabbitMQ: brokers `a` and `b`, which are no cluster, each with management, federation and TLS, on loopback.
# Who shows a certificate may log in by it, as the user whom its common name names. The server is Debian's.
# In DIR/env, for each broker (A, B): RABBITMQ_A_PORT, _TLS_PORT, _HTTP_PORT, _PID (of the Erlang machine, to be killed), _CTL (rabbitmqctl of
# this broker); for all: RABBITMQ_USER, RABBITMQ_PASSWORD (an administrator), RABBITMQ_CERTIFICATES (a folder, see lib.sh).
# RABBITMQ_BROKERS='a' starts one. A broker that was killed is started again by `start`.
set -euo pipefail
SERVICE=rabbitmq
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

svc_install() { need_packages rabbitmq-server openssl curl; }

# What the server and its tools of one broker are told by the environment.
surroundings() {
  local dist=RABBITMQ_${1^^}_DIST_PORT
  SURROUNDINGS=(
    -u RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS
    "HOME=$D/home" LC_ALL=C.UTF-8
    ERL_EPMD_ADDRESS=127.0.0.1 "ERL_EPMD_PORT=$RABBITMQ_EPMD_PORT"
    'ERL_AFLAGS=-kernel inet_dist_use_interface {127,0,0,1}'
    "RABBITMQ_NODENAME=$1@localhost" "RABBITMQ_DIST_PORT=${!dist}"
    "RABBITMQ_CONF_ENV_FILE=$D/$1/environment" "RABBITMQ_CONFIG_FILE=$D/$1/rabbitmq.conf"
    "RABBITMQ_ADVANCED_CONFIG_FILE=$D/$1/advanced.config" "RABBITMQ_ENABLED_PLUGINS_FILE=$D/$1/plugins"
    "RABBITMQ_GENERATED_CONFIG_DIR=$D/$1/generated" "RABBITMQ_MNESIA_BASE=$D/$1/data"
    "RABBITMQ_LOG_BASE=$LOG" RABBITMQ_LOGS=- "RABBITMQ_PID_FILE=$RUN/$1.beam"
    RABBITMQ_IO_THREAD_POOL_SIZE=16 ERL_CRASH_DUMP_SECONDS=0
    'RABBITMQ_SERVER_ERL_ARGS=+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none'
  )
}

configure() {
  local port=RABBITMQ_${1^^}_PORT tls=RABBITMQ_${1^^}_TLS_PORT http=RABBITMQ_${1^^}_HTTP_PORT
  mkdir -p "$D/$1/data" "$D/$1/generated"
  : >"$D/$1/environment"
  echo '[].' >"$D/$1/advanced.config"
  echo '[rabbitmq_management,rabbitmq_federation,rabbitmq_federation_management,rabbitmq_auth_mechanism_ssl].' >"$D/$1/plugins"
  cat >"$D/$1/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:${!port}
listeners.ssl.1 = 127.0.0.1:${!tls}
ssl_options.cacertfile = $D/tls/ca.pem
ssl_options.certfile = $D/tls/server.pem
ssl_options.keyfile = $D/tls/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
auth_mechanisms.3 = EXTERNAL
ssl_cert_login_from = common_name
management.tcp.ip = 127.0.0.1
management.tcp.port = ${!http}
default_user = $RABBITMQ_USER
default_pass = $RABBITMQ_PASSWORD
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
collect_statistics_interval = 1000
log.console = true
log.console.level = info
log.file = false
CONF
}

svc_start() {
  local name keys=(RABBITMQ_EPMD_PORT) tls http
  keep RABBITMQ_BROKERS 'a b'
  keep RABBITMQ_USER tributary
  keep RABBITMQ_PASSWORD "$(openssl rand -hex 16)"
  for name in $RABBITMQ_BROKERS; do keys+=(RABBITMQ_"${name^^}"_{PORT,TLS_PORT,HTTP_PORT,DIST_PORT}); done
  keep_ports "${keys[@]}"
  certificates "$D/tls"
  put RABBITMQ_CERTIFICATES "$D/tls"
  mkdir -p "$D/home"
  [ -f "$D/home/.erlang.cookie" ] || (umask 377 && openssl rand -hex 16 >"$D/home/.erlang.cookie")
  alive epmd >/dev/null || begin epmd env ERL_EPMD_ADDRESS=127.0.0.1 epmd -port "$RABBITMQ_EPMD_PORT" -address 127.0.0.1
  await epmd 15 answers "$RABBITMQ_EPMD_PORT"
  for name in $RABBITMQ_BROKERS; do
    alive "$name" >/dev/null && continue
    configure "$name"
    surroundings "$name"
    rm -f "$RUN/$name.beam"
    begin "$name" env "${SURROUNDINGS[@]}" /usr/lib/rabbitmq/bin/rabbitmq-server
  done
  for name in $RABBITMQ_BROKERS; do
    tls=RABBITMQ_${name^^}_TLS_PORT http=RABBITMQ_${name^^}_HTTP_PORT
    # The management plugin answers once all listeners and the user are there.
    await "$name" "${RABBITMQ_WAIT:-120}" curl -fsS -m 5 -u "$RABBITMQ_USER:$RABBITMQ_PASSWORD" \
      "http://127.0.0.1:${!http}/api/health/checks/port-listener/${!tls}"
    put "RABBITMQ_${name^^}_PID" "$(cat "$RUN/$name.beam")"
    surroundings "$name"
    { printf '#!/usr/bin/env bash\nexec env'; printf ' %q' "${SURROUNDINGS[@]}"; printf ' /usr/lib/rabbitmq/bin/rabbitmqctl "$@"\n'; } >"$D/$name/ctl"
    chmod 755 "$D/$name/ctl"
    put "RABBITMQ_${name^^}_CTL" "$D/$name/ctl"
  done
}

svc_stop() {
  local name pid tries
  for name in $(kept RABBITMQ_BROKERS); do
    # SIGTERM to the Erlang machine is its orderly stop, and its wrapper ends with it.
    if alive "$name" >/dev/null && pid=$(cat "$RUN/$name.beam" 2>/dev/null); then kill -TERM "$pid" 2>/dev/null || true; fi
  done
  for name in $(kept RABBITMQ_BROKERS) epmd; do
    for ((tries = 0; tries < 100; tries++)); do [ "$name" != epmd ] && alive "$name" >/dev/null || break; sleep 0.2; done
    finish "$name" 10
    rm -f "$RUN/$name.beam"
  done
}

dispatch "$@"
