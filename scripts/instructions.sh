#!/usr/bin/env bash
# Instructions that one decision of the gate takes, by valgrind: exact and the same on every machine, where times drift.
# `scripts/instructions.sh [KIND…]`, kinds as in bench/src/bin/decide.rs; each leaves build/instructions.KIND for
# callgrind_annotate.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "instructions: install valgrind first" >&2; exit 1; }
cargo build --release --quiet --workspace --bins
kinds=("$@")
[ ${#kinds[@]} -gt 0 ] || kinds=(one many fresh challenge)
count() {
    valgrind --tool=callgrind --callgrind-out-file="build/instructions.$1" target/release/decide "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : //p'
}
for kind in "${kinds[@]}"; do
    # What a run costs beyond the decisions is in both.
    few=$(count "$kind" 2000)
    more=$(count "$kind" 22000)
    echo "$kind: $(((more - few) / 20000)) instructions a decision"
done
