#!/usr/bin/env bash
# The main job between two sites: two processes with separate homes, keys and tables; compared with the same job in one process.
# Usage: demo-sites.sh BINARY [direct | rabbitmq]
#   direct     one port each: once over a line of their own, once through an exchange
#   rabbitmq   a real broker: once one for both, once one each, joined
set -euo pipefail

binary=$1 transport=${2:-direct}
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
exchange= service=
stop() {
  [ -z "$exchange" ] || { kill "$exchange" 2>/dev/null && wait "$exchange" || true; }
  [ -z "$service" ] || "$here/scripts/services/$service.sh" stop "$work/service"
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

at() { # a command at one of the sites
  local site=$1
  shift
  "$binary" --home "$work/$site" "$@"
}

configure() { # site, party id, more of the section of the transport
  mkdir -p "$work/$1"
  printf "party_id: '%s'\ndefault_engines: {federation: %s}\nfederation: {%s: {%s}}\n" "$2" "$transport" "$transport" "$3" \
    >"$work/$1/service_conf.yaml"
}

trust() { # each site trusts the other's card; more of `site trust`
  at hospital site card >"$work/9999.card"
  at laboratory site card >"$work/10000.card"
  at hospital site trust "$work/10000.card" --yes "$@"
  at laboratory site trust "$work/9999.card" --yes "$@"
}

run_both() { # job id
  at laboratory run --quiet --party 10000 "$job" >"$work/laboratory.txt" 2>&1 &
  local laboratory=$!
  at hospital run --party 9999 --job-id "$1" "$job"
  wait "$laboratory" || { cat "$work/laboratory.txt"; exit 1; }
}

results() { # home, party, role: what the latest job measured, less its id
  "$binary" --home "$1" output metric --party "$2" --role "$3" --task-name binning_0 | sed 's/"job_id": *"[^"]*"//'
}

upload() { # home of the hospital, home of the laboratory
  at "$1" data upload --party 9999 --namespace experiment --name breast_guest --label y --file "$here/examples/breast/guest.csv" >/dev/null
  at "$2" data upload --party 10000 --namespace experiment --name breast_host --file "$here/examples/breast/host.csv" >/dev/null
}

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

echo '— the job in one process, to compare with'
mkdir "$work/one"
upload one one
at one run --quiet --job-id one "$job"
echo

over_lines() {
  local bank_port shop_port exchange_port
  bank_port=$(free_port) shop_port=$(free_port) exchange_port=$(free_port)
  echo '— both sites make their keys, exchange cards, and trust each other'
  configure hospital 9999 "port: $bank_port"
  configure laboratory 10000 "port: $shop_port"
  at hospital site init --address "127.0.0.1:$bank_port" >/dev/null
  at laboratory site init --address "127.0.0.1:$shop_port" >/dev/null
  trust
  upload hospital laboratory
  echo
  echo '— the job, over a direct line between the two processes'
  run_both direct
  compare 'over the direct line'

  echo
  echo '— an exchange: the sites call it, and neither listens'
  mkdir "$work/hub"
  printf 'exchange: {host: 127.0.0.1, port: %s}\n' "$exchange_port" >"$work/hub/service_conf.yaml"
  configure hospital 9999 "listen: false, exchange: '127.0.0.1:$exchange_port'"
  configure laboratory 10000 "listen: false, exchange: '127.0.0.1:$exchange_port'"
  at hub site init --party exchange --address "127.0.0.1:$exchange_port" >/dev/null
  at hub site card --party exchange >"$work/exchange.card"
  # Partners whose cards name an address would be called there.
  at hospital site init --force >/dev/null
  at laboratory site init --force >/dev/null
  trust --replace >/dev/null
  for card in 9999 10000; do at hub site trust "$work/$card.card" --party exchange --yes; done
  for site in hospital laboratory; do at $site site trust "$work/exchange.card" --yes; done
  # Not by `at`: the process itself is stopped at the end.
  "$binary" --home "$work/hub" exchange --party exchange >"$work/exchange.txt" 2>&1 &
  exchange=$!
  sleep 0.5
  kill -0 $exchange 2>/dev/null || { cat "$work/exchange.txt"; exit 1; }
  run_both exchange
  compare 'through the exchange'
}

over_rabbitmq() {
  local login ports
  echo '— two RabbitMQ brokers start'
  service=rabbitmq
  "$here/scripts/services/rabbitmq.sh" start "$work/service"
  . "$work/service/env"
  login="host: 127.0.0.1, user: $RABBITMQ_USER, password: $RABBITMQ_PASSWORD"
  ports="port: $RABBITMQ_A_PORT, mng_port: $RABBITMQ_A_HTTP_PORT"
  echo '— both sites make their keys, exchange cards, and trust each other; neither listens'
  configure hospital 9999 "mode: client, $login, $ports"
  configure laboratory 10000 "mode: client, $login, $ports"
  at hospital site init >/dev/null
  at laboratory site init >/dev/null
  trust
  upload hospital laboratory
  echo
  echo '— the job, over one broker'
  run_both shared
  compare 'over one broker'
  at hospital federation status

  echo
  echo '— a broker at each site; each fetches from the other'
  configure hospital 9999 "mode: replication, $login, $ports"
  configure laboratory 10000 "mode: replication, $login, port: $RABBITMQ_B_PORT, mng_port: $RABBITMQ_B_HTTP_PORT"
  printf '10000: {host: 127.0.0.1, port: %s}\n' "$RABBITMQ_B_PORT" >"$work/hospital/rabbitmq_route_table.yaml"
  printf '9999: {host: 127.0.0.1, port: %s}\n' "$RABBITMQ_A_PORT" >"$work/laboratory/rabbitmq_route_table.yaml"
  run_both joined
  compare 'over two joined brokers'
  at laboratory federation status
}

case $transport in
  direct) over_lines ;;
  rabbitmq) over_rabbitmq ;;
  *) echo "error: no demo over $transport" >&2; exit 2 ;;
esac
