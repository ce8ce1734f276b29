#!/usr/bin/env bash
# Runs the scenarios of tests/threats.rs and prints a table of threat and result. On the simulated node, unless
# the arguments filter otherwise: `scripts/threats.sh ""` takes the real pair, too.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$#" -gt 0 ] || set -- lnsim::
L402_THREATS=1 cargo test --release --workspace --test scenarios -- "$@"
