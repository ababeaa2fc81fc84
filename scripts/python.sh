#!/usr/bin/env bash
# The Python environment that tests exchange tables with: pandas, DuckDB and Spark, with pinned versions, created once in the user's cache.
# Prints its interpreter. `--find` creates nothing, and fails if it is missing.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
requirements=$here/tests/e2e/interop/requirements.txt
version=$(sha256sum "$requirements" | cut -c1-16)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/tributary/python-$version
python=$folder/bin/python

# Written last, so that an incomplete environment is created again.
if [ -e "$folder/complete" ] && command -v java >/dev/null; then
  echo "$python"
  exit 0
fi
if [ "${1:-}" = --find ]; then
  echo "error: $folder is not there, or java is missing" >&2
  exit 1
fi

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
install() {
  command -v apt-get >/dev/null || { echo "error: install this by hand: $*" >&2; exit 1; }
  echo "installing $*" >&2
  "${as_root[@]}" apt-get update --quiet=2 >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends "$@" >&2
}
command -v java >/dev/null || install default-jre-headless
python3 -c 'import ensurepip, venv' 2>/dev/null || install python3 python3-venv

echo "making $folder" >&2
rm -rf "$folder"
python3 -m venv "$folder"
"$python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" >&2
touch "$folder/complete"
echo "$python"
