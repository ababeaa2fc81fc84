# What the service scripts have in common; sourced by them, not run. Each has the verbs
#
#   NAME.sh install     fetches the server, starts nothing
#   NAME.sh start DIR   starts it with all of its state below DIR, waits until it answers, writes DIR/env
#   NAME.sh env DIR     prints DIR/env: lines  export KEY='value'
#   NAME.sh stop DIR    stops what runs of DIR; its data stay, and a later start goes on with them
#
# A script sets SERVICE, defines svc_install, svc_start and svc_stop, and ends with: dispatch "$@". Servers listen on loopback only, on ports
# that were free at their first start. They outlive the caller, so whoever starts one stops it. Nothing is stopped by its name.

export PATH="$PATH:/usr/sbin:/sbin" # ss, daemons
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}" NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"
CACHE=${TRIBUTARY_SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tributary/services}

say() { printf '%s: %s\n' "$SERVICE" "$*" >&2; }
die() {
  say "$*"
  exit 1
}

dispatch() {
  local verb=${1:-}
  case "$verb/$#" in
    install/1) mkdir -p "$CACHE" && svc_install && return ;;
    start/2) mkdir -p "$2" "$CACHE" ;;
    env/2 | stop/2) [ -d "$2" ] || { [ "$verb" = stop ] && return; die "no such folder: $2"; } ;;
    *) die "usage: $SERVICE.sh install | start DIR | env DIR | stop DIR" ;;
  esac
  D=$(cd "$2" && pwd)
  case $D in *[!A-Za-z0-9/._+-]*) die "use a folder of letters, digits and ._+- only: some servers cannot be told another: $D" ;; esac
  ENV=$D/env RUN=$D/run LOG=$D/log
  case $verb in
    env) cat "$ENV" ;;
    stop) svc_stop ;;
    start)
      mkdir -p "$RUN" "$LOG"
      exec 9>"$D/lock"
      flock -w 600 9 || die "another start holds $D/lock"
      svc_install
      svc_start
      ;;
  esac
}

# put KEY VALUE: a line of DIR/env, and a variable of the script.
put() {
  printf -v "$1" '%s' "$2"
  (umask 077 && { grep -v "^export $1=" "$ENV" 2>/dev/null || true; printf "export %s='%s'\n" "$1" "$2"; } >"$ENV.new")
  mv "$ENV.new" "$ENV"
}

# kept KEY: its value in DIR/env, if any.
kept() { [ ! -f "$ENV" ] || sed -n "s/^export $1='\(.*\)'\$/\1/p" "$ENV"; }

# keep KEY DEFAULT: as put, but a value of an earlier start stays, and one of the caller's environment counts more.
keep() {
  local value=${!1-}
  [ -n "$value" ] || value=$(kept "$1")
  put "$1" "${value:-${2-}}"
}

# keep_ports KEY...: as keep, with a free port each. They are held open together, so that they differ, and lie below what the kernel gives to
# callers, so that no connection takes one before the server does.
keep_ports() {
  local free
  mapfile -t free < <(python3 - $# <<'PY'
import random, socket, sys

least = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
held = []
while len(held) < int(sys.argv[1]):
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", random.randrange(10240, least if least > 12000 else 32000)))
        one.listen(1)
    except OSError:
        one.close()
        continue
    held.append(one)
    print(one.getsockname()[1])
PY
  )
  while [ $# -gt 0 ]; do
    keep "$1" "${free[0]}"
    free=("${free[@]:1}")
    shift
  done
}

# need_packages NAME...: Debian packages; root is needed once. Their daemons are not started by the installation.
need_packages() {
  local missing=() each policy=/usr/sbin/policy-rc.d
  for each in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$each" 2>/dev/null)" = 'ii ' ] || missing+=("$each")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "install as root, once: apt-get install ${missing[*]}"
  say "installing ${missing[*]}"
  (
    flock -w 900 8
    local made=
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && made=1; }
    export DEBIAN_FRONTEND=noninteractive
    local failed=
    { apt-get -q update && apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"; } >"$CACHE/apt.log" 2>&1 </dev/null || failed=1
    [ -z "$made" ] || rm -f $policy
    [ -z "$failed" ] || { tail -n 20 "$CACHE/apt.log" >&2; exit 1; }
  ) 8>"$CACHE/apt.lock" || die "could not install ${missing[*]}"
}

# unprivileged USER...: sets AS to what runs a command as the first of these that exists, and OWNER to that user; both are empty if this is not
# root: some servers refuse to run as root. That user may enter DIR; what it reads there is given to it.
unprivileged() {
  local user
  AS=() OWNER=
  [ "$(id -u)" = 0 ] || return 0
  for user in "$@"; do id -u "$user" >/dev/null 2>&1 && OWNER=$user && break; done
  [ -n "$OWNER" ] || die "there is none of these users: $*"
  AS=(setpriv "--reuid=$OWNER" "--regid=$(id -g "$OWNER")" --clear-groups env "HOME=$D" "USER=$OWNER" "LOGNAME=$OWNER")
  chmod 711 "$D"
  "${AS[@]}" test -x "$D" || die "user $OWNER cannot enter $D; use a folder below one that is open to all"
}

# give PATH...: to the user of unprivileged.
give() { [ -z "$OWNER" ] || chown "$OWNER" "$@"; }

# begin NAME COMMAND...: starts a process in a session of its own. Its output goes to log/NAME.out; run/NAME.pid holds its id and start time,
# by which a process that got the same id later is told apart.
begin() {
  local name=$1 tries
  shift
  rm -f "$RUN/$name.pid"
  setsid bash -c 'file=$1; shift; echo "$$ $(sed "s/.*) //" /proc/$$/stat | cut -d" " -f20)" >"$file.new"; mv "$file.new" "$file"; exec "$@"' \
    _ "$RUN/$name.pid" "$@" >>"$LOG/$name.out" 2>&1 </dev/null 9>&- &
  disown
  for ((tries = 0; tries < 100; tries++)); do [ -s "$RUN/$name.pid" ] && return; sleep 0.1; done
  die "$name did not start"
}

# alive NAME: prints the process's id if it still runs.
alive() {
  local pid started now
  { read -r pid started <"$RUN/$1.pid"; } 2>/dev/null || return 1
  now=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f1,20) || return 1
  case $now in Z* | '') return 1 ;; *" $started") echo "$pid" ;; *) return 1 ;; esac
}

# finish NAME [SECONDS]: SIGTERM, and SIGKILL to its session's group after some time.
finish() {
  local pid tries
  if pid=$(alive "$1"); then
    kill -TERM "$pid" 2>/dev/null || true
    for ((tries = 0; tries < ${2:-20} * 10; tries++)); do alive "$1" >/dev/null || break; sleep 0.1; done
    kill -KILL -- "-$pid" 2>/dev/null || true
    for ((tries = 0; tries < 50; tries++)); do alive "$1" >/dev/null || break; sleep 0.1; done
  fi
  rm -f "$RUN/$1.pid"
}

# await NAME SECONDS COMMAND...: until the command succeeds. If the process dies or the time is over, shows its log, stops all and fails.
await() {
  local name=$1 most=$2 began=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1 9>&-; do
    if ! alive "$name" >/dev/null || ((SECONDS - began >= most)); then
      say "$name is not ready after $((SECONDS - began)) s; the end of $LOG/$name.out:"
      tail -n 30 "$LOG/$name.out" >&2 || true
      svc_stop || true
      exit 1
    fi
    sleep 0.2
  done
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; } # whether somebody listens on a port

# certificates FOLDER: ca.pem, and for localhost server.pem, server.key, expired.pem (of the same key); client.pem, client.key for clients;
# selfsigned.pem, selfsigned.key, which the CA does not know.
certificates() {
  [ ! -f "$1/done" ] || return 0
  mkdir -p "$1"
  (
    umask 077
    cd "$1"
    new() { openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" "${@:2}"; }
    new 'Tributary test CA' -x509 -days 3650 -keyout ca.key -out ca.pem \
      -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign'
    new localhost -x509 -days 3650 -keyout selfsigned.key -out selfsigned.pem -addext 'subjectAltName=DNS:localhost'
    printf '%s\n' 'subjectAltName=DNS:localhost' 'basicConstraints=CA:FALSE' 'extendedKeyUsage=serverAuth,clientAuth' >leaf
    local name
    for name in server client; do
      new localhost -keyout $name.key -out $name.csr
      openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile leaf -out $name.pem
    done
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days -1 -extfile leaf -out expired.pem 2>/dev/null ||
      openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 0 -extfile leaf -out expired.pem
    touch done
  ) >"$1.log" 2>&1 || { tail -n 5 "$1.log" >&2; die 'openssl failed'; }
}

# need_go: a Go that fetches newer ones by itself (1.21 and later), in front of PATH. Debian's is older: it fetches a later one as the module that
# Go releases are, once.
GO_TOOLCHAIN=1.24.4
need_go() {
  command -v go >/dev/null || { [ ! -x /usr/local/go/bin/go ] || PATH="$PATH:/usr/local/go/bin"; }
  command -v go >/dev/null || need_packages golang-go ca-certificates
  ! go version | grep -Eq 'go1\.(2[1-9]|[3-9][0-9])' || return 0
  local there=$CACHE/go-$GO_TOOLCHAIN module
  module=golang.org/toolchain@v0.0.1-go$GO_TOOLCHAIN.$(go env GOOS)-$(go env GOARCH)
  (
    flock -w 1800 8
    [ ! -x "$there/bin/go" ] || exit 0
    say "fetching Go $GO_TOOLCHAIN"
    rm -rf "$there" "$there.new"
    mkdir -p "$there.new/empty"
    cd "$there.new/empty"
    { go mod init tributary.test/toolchain && GOFLAGS=-modcacherw GOMODCACHE="$there.new/modules" go mod download "$module"; } \
      >"$there.new/log" 2>&1 </dev/null || { tail -n 20 "$there.new/log" >&2; exit 1; }
    # a module has neither files that may be run nor modules within it
    mv "$there.new/modules/$module" "$there"
    find "$there" -name _go.mod -execdir mv {} go.mod \;
    chmod -R u+w "$there"
    chmod +x "$there"/bin/* "$there"/pkg/tool/*/*
    rm -rf "$there.new"
  ) 8>"$CACHE/go.lock" || die "could not fetch Go $GO_TOOLCHAIN"
  PATH="$there/bin:$PATH"
}

# go_program NAME MODULE VERSION PACKAGE: builds a program from Go's module proxy, once; sets PROGRAM. The modules and the build's cache are far
# larger than the program, and are removed.
go_program() {
  local name=$1 module=$2 version=$3 package=$4 folder=$CACHE/$1-$3
  PROGRAM=$folder/$name
  [ ! -x "$PROGRAM" ] || return 0
  say "building $name $version, some minutes"
  need_go
  mkdir -p "$folder"
  (
    flock -w 3600 8
    [ ! -x "$PROGRAM" ] || exit 0
    rm -rf "$folder/build"
    mkdir -p "$folder/build/source"
    cd "$folder/build/source"
    # A toolchain as new as the module asks for comes through the same proxy.
    export GOCACHE="$folder/build/cache" GOMODCACHE="$folder/build/modules" GOFLAGS='-mod=mod -modcacherw' GOWORK=off CGO_ENABLED=0 GOTOOLCHAIN=auto
    { go mod init tributary.test/program && go get "$module@$version" && go build -trimpath -ldflags '-s -w' -o ../program "$package"; } \
      >"$folder/build.log" 2>&1 </dev/null || { tail -n 20 "$folder/build.log" >&2; exit 1; }
    mv "$folder/build/program" "$PROGRAM"
    rm -rf "$folder/build"
  ) 8>"$CACHE/$name.lock" || die "could not build $name"
}
