# What the demos have in common; sourced by them, after $binary is set. All that they write is below $work, and goes with them; what they start
# is stopped at their end.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
job=$here/examples/breast/job.yaml
processes=() services=()
stop() {
  local each
  for each in "${processes[@]}"; do kill -INT "$each" 2>/dev/null && wait "$each" || true; done
  for each in "${services[@]}"; do "$here/scripts/services/$each.sh" stop "$work/services/$each"; done
  rm -rf "$work"
}
trap stop EXIT

begin_service() { # name: starts the server, and takes over what it says
  services+=("$1")
  mkdir -p "$work/services"
  "$here/scripts/services/$1.sh" start "$work/services/$1"
  . "$work/services/$1/env"
}

at() { # a command at one of the sites
  local site=$1
  shift
  "$binary" --home "$work/$site" "$@"
}

begin_cluster() { # site: a scheduler and two executors of one core; sets CLUSTER, their address
  mkdir -p "$work/$1"
  "$binary" --home "$work/$1" cluster up --executors 2 --cores 1 --port 0 >"$work/$1/cluster.log" &
  processes+=($!)
  for _ in $(seq 300); do
    grep -q 'cluster ready' "$work/$1/cluster.log" && break
    kill -0 "${processes[-1]}" 2>/dev/null || { cat "$work/$1/cluster.log"; echo 'error: the cluster ended' >&2; exit 1; }
    sleep 0.1
  done
  CLUSTER=$(sed -n 's/^cluster ready at \([^ ]*\): .*/\1/p' "$work/$1/cluster.log")
}

upload() { # home of the hospital, home of the laboratory
  at "$1" data upload --party 9999 --namespace experiment --name breast_guest --label y --file "$here/examples/breast/guest.csv" >/dev/null
  at "$2" data upload --party 10000 --namespace experiment --name breast_host --file "$here/examples/breast/host.csv" >/dev/null
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

compare() { # with the job in one process, at the site `one`
  local each home party role
  for each in hospital:9999:guest laboratory:10000:host; do
    IFS=: read -r home party role <<<"$each"
    results "$work/one" "$party" "$role" >"$work/expected.json"
    results "$work/$home" "$party" "$role" >"$work/got.json"
    [ -s "$work/expected.json" ] && cmp "$work/expected.json" "$work/got.json"
  done
  echo "equal: what both parties learned $1 is what they learned in one process"
}

compare_jobs() { # site, first job, others: metrics and models of all are those of the first
  local site=$1 first=$2 what side party role one
  shift
  for what in metric model; do
    for side in '9999 guest' '10000 host'; do
      read -r party role <<<"$side"
      for one in "$@"; do
        # Encryption keys and job ids differ from run to run; the results do not.
        at "$site" output $what --job-id "$one" --party "$party" --role "$role" --task-name binning_0 | sed "s/\"$one\"/\"JOB\"/g" >"$work/$one.json"
        diff "$work/$first.json" "$work/$one.json" >"$work/differs" ||
          { echo "error: the ${what}s of $role $party differ between the jobs $first and $one" >&2; head -20 "$work/differs" >&2; exit 1; }
      done
      echo "equal: ${what}s of $role $party"
    done
  done
}
