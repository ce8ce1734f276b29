#!/usr/bin/env bash
# Builds what speaks the next protocol between the module and l402d, into build/next/: what the test of an upgrade is upgraded
# to. Never to be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
# cargo takes this file for the module itself, until that is compiled again.
trap 'touch crates/nginx/src/lib.rs' EXIT
# The whole workspace, so that its dependencies are those of the build.
cargo build --release --workspace --features agent-api/next-protocol
mkdir -p build/next
lay() { cp "target/release/$1" "build/next/.$2.new" && mv "build/next/.$2.new" "build/next/$2"; }
lay libngx_http_l402_module.so ngx_http_l402_module.so
lay l402d l402d
