#!/usr/bin/env bash
# Builds everything once and lays the four products into build/.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --workspace
mkdir -p build
# A new file each time: nginx may have the old module mapped.
lay() { cp "target/release/$1" "build/.$2.new" && mv "build/.$2.new" "build/$2"; }
if grep -q L402_FAULT target/release/libngx_http_l402_module.so; then
    echo "build: this module is the one for tests (scripts/faulty.sh): touch crates/nginx/src/lib.rs and build again" >&2
    exit 1
fi
lay libngx_http_l402_module.so ngx_http_l402_module.so
lay l402d l402d
lay l402 l402
lay lnsim lnsim
echo "build: build/ngx_http_l402_module.so build/l402d build/l402 build/lnsim"
