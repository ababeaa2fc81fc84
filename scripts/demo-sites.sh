#!/usr/bin/env bash
# The main job between two sites: two processes with separate homes, keys and tables; compared with the same job in one process.
# Usage: demo-sites.sh BINARY [direct | rabbitmq | pulsar]
#   direct     one port each: once over a line of their own, once through an exchange
#   rabbitmq   a real broker: once one for both, once one each, joined
#   pulsar     the same with Apache Pulsar
set -euo pipefail

binary=$1 transport=${2:-direct}
. "$(dirname "$0")/demo-parts.sh"

free_port() { # one that nobody listens on now
  local port
  while :; do
    port=$((20000 + RANDOM % 12000)) # below those that systems give to callers
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo $port
}

configure() { # site, party id, more of the section of the transport
  mkdir -p "$work/$1"
  printf "party_id: '%s'\ndefault_engines: {federation: %s}\nfederation: {%s: {%s}}\n" "$2" "$transport" "$transport" "$3" \
    >"$work/$1/service_conf.yaml"
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
  processes+=($!)
  sleep 0.5
  kill -0 "${processes[-1]}" 2>/dev/null || { cat "$work/exchange.txt"; exit 1; }
  run_both exchange
  compare 'through the exchange'
}

# A key of the service, for its broker a or b: PORT, HTTP_PORT.
of_broker() { local key=${transport^^}_${1^^}_$2; printf '%s' "${!key}"; }

over_brokers() { # what they are, login and all else that both sites say alike, and what each says of its own (%s: a or b)
  local what=$1 login=$2 own=$3 each
  at_broker() { # broker, site, party id, mode
    # shellcheck disable=SC2059 # a format
    configure "$2" "$3" "mode: $4, host: 127.0.0.1, $login, $(printf "$own" "$1")port: $(of_broker "$1" PORT), mng_port: $(of_broker "$1" HTTP_PORT)"
  }
  echo '— both sites make their keys, exchange cards, and trust each other; neither listens'
  at_broker a hospital 9999 client
  at_broker a laboratory 10000 client
  at hospital site init >/dev/null
  at laboratory site init >/dev/null
  trust
  upload hospital laboratory
  echo
  echo "— the job, over one $what"
  run_both shared
  compare "over one $what"
  at hospital federation status

  echo
  echo "— a $what at each site, joined"
  at_broker a hospital 9999 replication
  at_broker b laboratory 10000 replication
  printf '10000: {host: 127.0.0.1, port: %s}\n' "$(of_broker b PORT)" >"$work/hospital/${transport}_route_table.yaml"
  printf '9999: {host: 127.0.0.1, port: %s}\n' "$(of_broker a PORT)" >"$work/laboratory/${transport}_route_table.yaml"
  run_both joined
  compare "over two, joined"
  for each in hospital laboratory; do at "$each" federation status; done
}

case $transport in
  direct) over_lines ;;
  rabbitmq)
    echo '— two of RabbitMQ start'
    begin_service rabbitmq
    over_brokers broker "user: $RABBITMQ_USER, password: $RABBITMQ_PASSWORD" ''
    ;;
  pulsar)
    echo '— two of Apache Pulsar start'
    begin_service pulsar
    over_brokers cluster "token: $PULSAR_TOKEN" 'cluster: %s, '
    ;;
  *) echo "error: no demo over $transport" >&2; exit 2 ;;
esac
