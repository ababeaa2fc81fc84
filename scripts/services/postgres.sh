#!/usr/bin/env bash
# PostgreSQL on loopback: passwords, and TLS on the same port. The server is Debian's, or whichever the machine has.
# In DIR/env: POSTGRES_PORT, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_CERTIFICATES (a folder, see lib.sh), POSTGRES_PID (to be
# killed). The user may do anything.
set -euo pipefail
SERVICE=postgres
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The newest version that is here.
newest() {
  BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [ -x "$BIN/initdb" ] && [ -x "$BIN/psql" ]
}

svc_install() {
  newest || need_packages postgresql
  newest || die 'there is no /usr/lib/postgresql/VERSION/bin/initdb'
  command -v openssl >/dev/null || need_packages openssl
}

query() { PGPASSWORD=$POSTGRES_PASSWORD "$BIN/psql" --host 127.0.0.1 --port "$POSTGRES_PORT" --username "$POSTGRES_USER" --dbname "$1" --no-align --tuples-only --command "$2"; }

# It sorts as bytes, so that no locale of the machine matters.
create() {
  rm -rf "$D/data"
  mkdir -m 700 "$D/data"
  (umask 077 && printf '%s\n' "$POSTGRES_PASSWORD" >"$D/data.password")
  give "$D/data" "$D/data.password"
  (cd "$D/data" && "${AS[@]}" "$BIN/initdb" --pgdata "$D/data" --username "$POSTGRES_USER" --pwfile "$D/data.password" --auth scram-sha-256 \
    --encoding UTF8 --locale C.UTF-8 --no-sync) >"$LOG/initdb.out" 2>&1 </dev/null || { tail -n 20 "$LOG/initdb.out" >&2; die 'initdb failed'; }
  rm -f "$D/data.password"
  touch "$D/data/whole"
}

# A server that was killed is in the way of the next one until its process is reaped, and its children have seen that it is gone.
bury() {
  local pid tries
  read -r pid 2>/dev/null <"$D/data/postmaster.pid" || return 0
  for ((tries = 0; tries < 300; tries++)); do
    { kill -0 "$pid" 2>/dev/null || children; } || return 0
    sleep 0.1
  done
}
children() { local each; for each in /proc/[0-9]*; do [ "$(readlink "$each/cwd" 2>/dev/null)" != "$D/data" ] || return 0; done; return 1; }

svc_start() {
  keep POSTGRES_USER tributary
  keep POSTGRES_PASSWORD "$(openssl rand -hex 16)"
  keep POSTGRES_DB tributary
  keep_ports POSTGRES_PORT
  put POSTGRES_CERTIFICATES "$D/tls"
  certificates "$D/tls"
  unprivileged postgres nobody
  if ! alive postgres >/dev/null; then
    [ -f "$D/data/whole" ] || create
    bury
    install -m 600 "$D/tls/server.pem" "$D/tls/server.key" "$D/data"
    give "$D/data/server.pem" "$D/data/server.key"
    # What is written outlives the process, if not the machine: tests kill processes.
    begin postgres "${AS[@]}" "$BIN/postgres" -D "$D/data" -p "$POSTGRES_PORT" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
      -c ssl=on -c ssl_cert_file=server.pem -c ssl_key_file=server.key -c fsync=off -c max_connections=100 -c shared_buffers=64MB -c timezone=UTC
  fi
  await postgres 60 query postgres 'select 1'
  [ "$(query postgres "select 1 from pg_database where datname = '$POSTGRES_DB'")" = 1 ] || query postgres "create database \"$POSTGRES_DB\"" >/dev/null
  put POSTGRES_PID "$(alive postgres)"
}

# SIGTERM would wait for its clients, SIGINT drops them.
svc_stop() {
  local pid
  if pid=$(alive postgres); then kill -INT "$pid" 2>/dev/null || true; fi
  finish postgres
}

dispatch "$@"
