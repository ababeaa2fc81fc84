#!/usr/bin/env bash
# S3: Versity's gateway over a folder, on loopback, with a bucket. Built from Go's module proxy; Debian has no such server.
# In DIR/env: S3_ENDPOINT, S3_TLS_ENDPOINT (certificate of lib.sh's CA, for localhost), S3_REGION, S3_BUCKET, S3_ACCESS_KEY, S3_SECRET_KEY,
# S3_CERTIFICATES (a folder, see lib.sh), S3_PID and S3_TLS_PID (of the servers, which share the folder; to be killed).
set -euo pipefail
SERVICE=s3
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

svc_install() {
  command -v openssl >/dev/null || need_packages openssl
  command -v python3 >/dev/null || need_packages python3
  go_program versitygw github.com/versity/versitygw v1.8.0 github.com/versity/versitygw/cmd/versitygw
}

# Metadata of objects lies in extended attributes, or beside the objects where the file system has none. The server's own keep-alive must stay
# off: a refused write leaves its body on the connection.
serve() {
  local name=$1 port=$2 beside=()
  shift 2
  python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.tributary", b"1")' "$D/data" 2>/dev/null ||
    { mkdir -p "$D/meta" && beside=(--sidecar "$D/meta"); }
  alive "$name" >/dev/null || begin "$name" env "ROOT_ACCESS_KEY=$S3_ACCESS_KEY" "ROOT_SECRET_KEY=$S3_SECRET_KEY" "$PROGRAM" --quiet \
    --port "127.0.0.1:$port" --region "$S3_REGION" --iam-dir "$D/iam" "$@" posix "${beside[@]}" "$D/data"
  await "$name" 60 answers "$port"
}

svc_start() {
  keep S3_REGION us-east-1
  keep S3_BUCKET tributary
  keep S3_ACCESS_KEY tributary
  keep S3_SECRET_KEY "$(openssl rand -hex 16)"
  keep_ports S3_PORT S3_TLS_PORT
  put S3_CERTIFICATES "$D/tls"
  put S3_ENDPOINT "http://127.0.0.1:$S3_PORT"
  put S3_TLS_ENDPOINT "https://localhost:$S3_TLS_PORT"
  mkdir -p "$D/data/$S3_BUCKET" "$D/iam" # a folder is a bucket
  certificates "$D/tls"
  serve s3 "$S3_PORT"
  serve s3-tls "$S3_TLS_PORT" --cert "$D/tls/server.pem" --key "$D/tls/server.key"
  put S3_PID "$(alive s3)"
  put S3_TLS_PID "$(alive s3-tls)"
}

svc_stop() {
  finish s3
  finish s3-tls
}

dispatch "$@"
