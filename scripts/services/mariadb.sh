#!/usr/bin/env bash
# MariaDB on loopback: passwords, and TLS on the same port. The server is Debian's, without its system-wide instance.
# In DIR/env: MARIADB_PORT, MARIADB_USER, MARIADB_PASSWORD, MARIADB_DB, MARIADB_CERTIFICATES (a folder, see lib.sh), MARIADB_PID (to be killed).
# The user may do anything.
set -euo pipefail
SERVICE=mariadb
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

svc_install() { need_packages mariadb-server-core mariadb-client-core openssl; }

query() { mariadb --no-defaults --host 127.0.0.1 --port "$MARIADB_PORT" --user "$MARIADB_USER" "--password=$MARIADB_PASSWORD" --execute "$1" "$MARIADB_DB"; }

create() {
  rm -rf "$D/data"
  mkdir -m 700 "$D/data"
  give "$D/data"
  (cd "$D/data" && "${AS[@]}" mariadb-install-db --no-defaults --datadir="$D/data" --auth-root-authentication-method=normal --skip-test-db) \
    >"$LOG/create.out" 2>&1 </dev/null || { tail -n 20 "$LOG/create.out" >&2; die 'mariadb-install-db failed'; }
  touch "$D/data/whole"
}

# What the server runs when it starts. Nobody but the user can log in from anywhere.
first_words() {
  (umask 077 && cat >"$D/data/first.sql") <<SQL
CREATE DATABASE IF NOT EXISTS \`$MARIADB_DB\`;
CREATE USER IF NOT EXISTS '$MARIADB_USER'@'%' IDENTIFIED BY '$MARIADB_PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO '$MARIADB_USER'@'%' WITH GRANT OPTION;
DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root' AND Host <> 'localhost';
FLUSH PRIVILEGES;
SQL
}

svc_start() {
  keep MARIADB_USER tributary
  keep MARIADB_PASSWORD "$(openssl rand -hex 16)"
  keep MARIADB_DB tributary
  keep_ports MARIADB_PORT
  put MARIADB_CERTIFICATES "$D/tls"
  certificates "$D/tls"
  unprivileged mysql nobody
  if ! alive mariadb >/dev/null; then
    [ -f "$D/data/whole" ] || create
    first_words
    install -m 600 "$D/tls/server.pem" "$D/tls/server.key" "$D/data"
    give "$D/data/server.pem" "$D/data/server.key" "$D/data/first.sql"
    # A socket's full name may be too long; a relative one is below the data. What is written outlives the process, if not the machine: tests
    # kill processes.
    begin mariadb "${AS[@]}" mariadbd --no-defaults --datadir="$D/data" --tmpdir="$D/data" --socket=socket --pid-file=pid --bind-address=127.0.0.1 \
      --port="$MARIADB_PORT" --skip-name-resolve --init-file="$D/data/first.sql" --ssl-cert="$D/data/server.pem" --ssl-key="$D/data/server.key" \
      --innodb-flush-log-at-trx-commit=2 --innodb-buffer-pool-size=64M --innodb-log-file-size=64M --performance-schema=OFF --character-set-server=utf8mb4 --default-time-zone=+00:00
  fi
  await mariadb 60 query 'select 1'
  put MARIADB_PID "$(alive mariadb)"
}

svc_stop() { finish mariadb 30; }

dispatch "$@"
