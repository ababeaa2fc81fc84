#!/usr/bin/env bash
# Google Cloud Storage: fake-gcs-server over a folder, on loopback, with a bucket. Built from Go's module proxy; Debian has no such server. It checks
# no credentials.
# In DIR/env: GCS_ENDPOINT, GCS_BUCKET, GCS_PID.
set -euo pipefail
SERVICE=gcs
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

svc_install() {
  command -v python3 >/dev/null || need_packages python3
  command -v curl >/dev/null || need_packages curl
  go_program fake-gcs-server github.com/fsouza/fake-gcs-server v1.56.1 github.com/fsouza/fake-gcs-server
}

# Makes the bucket, if it is not there.
bucket() {
  curl -fsS -m 5 "$GCS_ENDPOINT/storage/v1/b/$GCS_BUCKET" ||
    curl -fsS -m 5 -H 'Content-Type: application/json' -d "{\"name\": \"$GCS_BUCKET\"}" "$GCS_ENDPOINT/storage/v1/b?project=tributary"
}

svc_start() {
  keep GCS_BUCKET tributary
  keep_ports GCS_PORT
  put GCS_ENDPOINT "http://127.0.0.1:$GCS_PORT"
  mkdir -p "$D/data"
  alive gcs >/dev/null || begin gcs "$PROGRAM" -scheme http -host 127.0.0.1 -port "$GCS_PORT" -backend filesystem -filesystem-root "$D/data" \
    -external-url "$GCS_ENDPOINT" -public-host "127.0.0.1:$GCS_PORT"
  await gcs 60 bucket
  put GCS_PID "$(alive gcs)"
}

svc_stop() { finish gcs; }

dispatch "$@"
