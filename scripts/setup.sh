#!/usr/bin/env bash
# Installs the build's tools that this machine lacks. Does nothing, and asks for nothing, if all are there.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need cc gcc
need make make
need m4 m4       # GMP's build
need mold mold   # the linker, see .cargo/config.toml
need protoc protobuf-compiler   # Pulsar's client

if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  command -v apt-get >/dev/null || { echo "error: install these by hand: ${missing[*]}" >&2; exit 1; }
  "${as_root[@]}" apt-get update --quiet=2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 "${missing[@]}" >/dev/null
fi

command -v cargo >/dev/null || { echo "error: no cargo; install Rust first, see https://rustup.rs" >&2; exit 1; }
for component in rustfmt clippy; do
  cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component"
done
