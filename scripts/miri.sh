#!/usr/bin/env bash
# Miri over the claim path: frames, macaroons, and l402d's connections with every order of draws and cancels.
#
# Miri is a component of Rust's nightly; where it isn't installed this says so and is no failure. It interprets, some
# thousand times slower, so only these run, and with fewer steps (cfg!(miri)). All of this code forbids unsafe: what Miri
# watches is the dependencies' unsafe as we use it. It can't run nginx or SQLite, which are C: the claims are the model's,
# and the module's table of questions, plain safe Rust without dependencies, has nothing for it to find.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "skipped: Miri is not installed (rustup toolchain install nightly --component miri --component rust-src)"
    exit 0
fi
export CARGO_TARGET_DIR=target/miri MIRIFLAGS="-Zmiri-disable-isolation ${MIRIFLAGS:-}"
cargo +nightly miri test --quiet -p agent-api --test golden
cargo +nightly miri test --quiet -p l402 --test protocol -- golden
cargo +nightly miri test --quiet -p l402d --lib interleavings
