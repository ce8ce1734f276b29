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
# Under its release's own name, as it is installed.
program=$(target/release/l402d --version | sed -E 's/^(l402d) (.*) \(protocol (.*)\)$/\1-\2-p\3/')
find build -maxdepth 1 -name 'l402d-*' ! -name "$program" -delete
lay l402d "$program"
ln -sfn "$program" build/l402d
lay l402 l402
lay lnsim lnsim
echo "build: build/ngx_http_l402_module.so build/l402d build/l402 build/lnsim"
