#!/usr/bin/env bash
# The main job between two sites: two processes with separate homes, keys, tables and one port each; once over a direct line, once through an
# exchange; compared with the same job in one process. Usage: demo-sites.sh BINARY
set -euo pipefail

binary=$1
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
exchange=
stop() {
  [ -z "$exchange" ] || { kill "$exchange" 2>/dev/null && wait "$exchange" || true; }
  rm -rf "$work"
}
trap stop EXIT
job=$here/examples/breast/job.yaml

free_port() { # one that nobody listens on now
  local port
  while :; do
    port=$((20000 + RANDOM % 12000)) # below those that systems give to callers
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo $port
}
bank_port=$(free_port)
shop_port=$(free_port)
exchange_port=$(free_port)

at() { # a command at one of the sites
  local site=$1
  shift
  "$binary" --home "$work/$site" "$@"
}

configure() { # site, party id, more of federation.direct
  mkdir -p "$work/$1"
  printf "party_id: '%s'\ndefault_engines: {federation: direct}\nfederation: {direct: {%s}}\n" "$2" "$3" >"$work/$1/service_conf.yaml"
}

run_both() { # job id
  at laboratory run --quiet --party 10000 "$job" >"$work/laboratory.txt" &
  local laboratory=$!
  at hospital run --party 9999 --job-id "$1" "$job"
  wait "$laboratory" || { cat "$work/laboratory.txt"; exit 1; }
}

results() { # home, party, role: what the latest job measured, less its id
  "$binary" --home "$1" output metric --party "$2" --role "$3" --task-name binning_0 | sed 's/"job_id": *"[^"]*"//'
}

echo '— both sites make their keys, exchange cards, and trust each other'
configure hospital 9999 "port: $bank_port"
configure laboratory 10000 "port: $shop_port"
at hospital site init --address "127.0.0.1:$bank_port" >/dev/null
at laboratory site init --address "127.0.0.1:$shop_port" >/dev/null
at hospital site card >"$work/9999.card"
at laboratory site card >"$work/10000.card"
at hospital site trust "$work/10000.card" --yes
at laboratory site trust "$work/9999.card" --yes
at hospital data upload --namespace experiment --name breast_guest --label y --file "$here/examples/breast/guest.csv" >/dev/null
at laboratory data upload --namespace experiment --name breast_host --file "$here/examples/breast/host.csv" >/dev/null

echo
echo '— the job, over a direct line between the two processes'
run_both direct

echo
echo '— the same job in one process'
mkdir "$work/one"
at one data upload --party 9999 --namespace experiment --name breast_guest --label y --file "$here/examples/breast/guest.csv" >/dev/null
at one data upload --party 10000 --namespace experiment --name breast_host --file "$here/examples/breast/host.csv" >/dev/null
at one run --quiet --job-id one "$job"

compare() {
  local each home party role
  for each in hospital:9999:guest laboratory:10000:host; do
    IFS=: read -r home party role <<<"$each"
    results "$work/one" "$party" "$role" >"$work/expected.json"
    results "$work/$home" "$party" "$role" >"$work/got.json"
    [ -s "$work/expected.json" ] && cmp "$work/expected.json" "$work/got.json"
  done
  echo "equal: what both parties learned $1 is what they learned in one process"
}
compare 'over the direct line'

echo
echo '— an exchange: the sites call it, and neither listens'
mkdir "$work/hub"
printf 'exchange: {host: 127.0.0.1, port: %s}\n' "$exchange_port" >"$work/hub/service_conf.yaml"
at hub site init --party exchange --address "127.0.0.1:$exchange_port" >/dev/null
at hub site card --party exchange >"$work/exchange.card"
for card in 9999 10000; do at hub site trust "$work/$card.card" --party exchange --yes; done
for site in hospital laboratory; do at $site site trust "$work/exchange.card" --yes; done
for site in hospital:9999 laboratory:10000; do
  printf "party_id: '%s'\ndefault_engines: {federation: direct}\nfederation: {direct: {listen: false, exchange: '127.0.0.1:%s'}}\n" \
    "${site#*:}" "$exchange_port" >"$work/${site%:*}/service_conf.yaml"
done
# Partners whose cards name an address would be called there.
at hospital site init --force >/dev/null
at laboratory site init --force >/dev/null
at hospital site card >"$work/9999.card"
at laboratory site card >"$work/10000.card"
at hospital site trust "$work/10000.card" --yes --replace >/dev/null
at laboratory site trust "$work/9999.card" --yes --replace >/dev/null
for card in 9999 10000; do at hub site trust "$work/$card.card" --party exchange --yes --replace >/dev/null; done
# Not by `at`: the process itself is stopped at the end.
"$binary" --home "$work/hub" exchange --party exchange >"$work/exchange.txt" 2>&1 &
exchange=$!
sleep 0.5
kill -0 $exchange 2>/dev/null || { cat "$work/exchange.txt"; exit 1; }
run_both exchange
compare 'through the exchange'
