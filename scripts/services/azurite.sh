#!/usr/bin/env bash
# Azure Blob Storage: Azurite, Microsoft's own emulator, on loopback, with a container. It checks keys and conditions as the service does.
# In DIR/env: AZURE_ENDPOINT, AZURE_ACCOUNT, AZURE_KEY, AZURE_CONTAINER, AZURE_PID.
set -euo pipefail
SERVICE=azurite
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
VERSION=3.35.0 # later ones ask for a newer Node than Debian has

svc_install() {
  PROGRAM=$CACHE/azurite-$VERSION/node_modules/azurite/dist/src/blob/main.js
  [ ! -f "$CACHE/azurite-$VERSION/done" ] || return 0
  command -v npm >/dev/null || need_packages nodejs npm
  command -v python3 >/dev/null || need_packages python3
  say "installing azurite $VERSION"
  mkdir -p "$CACHE/azurite-$VERSION"
  (
    flock -w 900 8
    cd "$CACHE/azurite-$VERSION"
    [ ! -f done ] || exit 0
    echo '{"private": true}' >package.json
    npm install --no-audit --no-fund --omit=dev --omit=optional --ignore-scripts "azurite@$VERSION" >npm.log 2>&1 </dev/null ||
      { tail -n 20 npm.log >&2; exit 1; }
    touch done
  ) 8>"$CACHE/azurite.lock" || die 'npm could not install it'
}

# Makes the container, if it is not there: a request signed with the account's key.
container() {
  python3 - "$AZURE_ENDPOINT" "$AZURE_ACCOUNT" "$AZURE_KEY" "$AZURE_CONTAINER" <<'PY'
import base64, email.utils, hashlib, hmac, sys, urllib.error, urllib.request

endpoint, account, key, container = sys.argv[1:]
headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
lines = ["PUT"] + [""] * 11 + [f"{name}:{value}" for name, value in sorted(headers.items())]
lines += [f"/{account}/{account}/{container}", "restype:container"]
digest = hmac.new(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256).digest()
headers["Authorization"] = f"SharedKey {account}:{base64.b64encode(digest).decode()}"
request = urllib.request.Request(f"{endpoint}/{container}?restype=container", b"", headers, method="PUT")
request.remove_header("Content-type")
request.add_unredirected_header("Content-type", "")
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10)
except urllib.error.HTTPError as error:
    sys.exit(0 if error.code == 409 else f"{error.code} {error.read().decode()}")
PY
}

svc_start() {
  keep AZURE_ACCOUNT tributary
  keep AZURE_CONTAINER tributary
  keep AZURE_KEY "$(openssl rand -base64 64 | tr -d '\n')"
  keep_ports AZURE_PORT
  put AZURE_ENDPOINT "http://127.0.0.1:$AZURE_PORT/$AZURE_ACCOUNT"
  mkdir -p "$D/data"
  alive azurite >/dev/null || begin azurite env "AZURITE_ACCOUNTS=$AZURE_ACCOUNT:$AZURE_KEY" node --max-old-space-size=256 "$PROGRAM" \
    --location "$D/data" --silent --disableTelemetry --skipApiVersionCheck --blobHost 127.0.0.1 --blobPort "$AZURE_PORT"
  await azurite 60 answers "$AZURE_PORT"
  await azurite 10 container
  put AZURE_PID "$(alive azurite)"
}

svc_stop() { finish azurite; }

dispatch "$@"
