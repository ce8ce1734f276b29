#!/usr/bin/env bash
# The figures of speed and size, all of them (then bench/RESULTS.md is written) or those that are named: `scripts/bench.sh paid grants`.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v wrk >/dev/null; then
    echo "bench: installing wrk"
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wrk >/dev/null
fi
command -v perf >/dev/null || echo "bench: no perf (package linux-perf), so no profile of what costs time"
cargo build --release --quiet --workspace
exec target/release/bench "$@"
