#!/usr/bin/env bash
# Builds the module in which tests let any callback panic, into build/faulty/. Never to be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
# cargo takes this file for the module itself, until that is compiled again.
trap 'touch crates/nginx/src/lib.rs' EXIT
# The whole workspace, so that its dependencies are those of the build and nothing but the module is compiled anew.
cargo build --release --workspace --features ngx_http_l402_module/faulty
mkdir -p build/faulty
cp target/release/libngx_http_l402_module.so build/faulty/.new
mv build/faulty/.new build/faulty/ngx_http_l402_module.so
