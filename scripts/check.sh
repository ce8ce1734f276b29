#!/usr/bin/env bash
# What a change must satisfy before its tests count: layout, lints, docs, dependency edges, cargo-deny.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '\n== %s\n' "$1"; }

step "rustfmt"
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
cargo fmt --manifest-path races/Cargo.toml --check
step "clippy"
cargo clippy --release --workspace --all-targets --quiet -- -D warnings
step "rustdoc"
# The readers of these pages are those who work on the code: private items included.
RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --release --workspace --no-deps --document-private-items --quiet
step "first lines"
scripts/check-first-lines.sh
step "dependency edges"
scripts/check-edges.sh
step "cargo-deny"
scripts/deny.sh
printf '\ncheck: all good\n'
