#!/usr/bin/env bash
# Fuzzes every target of fuzz/, or those named: scripts/fuzz.sh [SECONDS EACH] [TARGET…]; --minimise first: no run, but the corpora
# get the best of what earlier runs found.
#
# The targets are laid out for cargo-fuzz, but built here as it would build them: so nothing has to be installed first,
# and stable Rust does. No address sanitizer: all of this code forbids unsafe, and without one it runs twice as fast.
set -euo pipefail
cd "$(dirname "$0")/.."

minimise=
[ "${1:-}" != --minimise ] || { minimise=yes; shift; }
seconds=60
[[ ! "${1:-}" =~ ^[0-9]+$ ]] || { seconds=$1; shift; }
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd fuzz/fuzz_targets && ls -- *.rs | sed 's/\.rs$//')
for target in "${targets[@]}"; do
    [ -f "fuzz/fuzz_targets/$target.rs" ] || { echo "fuzz: there is no target $target" >&2; exit 2; }
done
if ! command -v c++ >/dev/null; then
    echo "fuzz: a C++ compiler is missing (libFuzzer is compiled): apt install build-essential" >&2
    exit 1
fi

host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-loads
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-stack-depth
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 --cfg fuzzing"
RUSTFLAGS=$(echo $coverage) CARGO_TARGET_DIR=target/fuzz \
    cargo build --quiet --locked --release --target "$host" --manifest-path fuzz/Cargo.toml

# libFuzzer lists its files, the committed ones first, and what each reaches that none before it did. The few that add
# most are worth their place in the repository.
best() {
    awk '
        FNR == 1 { files = $1; next }
        FNR == 2 { committed = $1; next }
        FNR < files + 3 { name[FNR - 3] = $0; next }
        $1 == "COV" && $2 >= committed && NF > 3 { print NF, name[$2] }
    ' "$1" | sort -rn | head -n 7 | cut -d ' ' -f 2
}

# What a run finds beyond the committed corpus stays in build/fuzz/, and is where the next one starts.
bad=()
for target in "${targets[@]}"; do
    program=target/fuzz/$host/release/$target
    corpus=fuzz/corpus/$target found=build/fuzz/$target artifacts=fuzz/artifacts/$target log=build/fuzz/$target.log
    mkdir -p "$corpus" "$found" "$artifacts"
    # Seconds for one input, MB of memory: far above what any input needs, so an input that passes them is a fault.
    limits=(-timeout=5 -rss_limit_mb=1024)
    dictionary=fuzz/dictionaries/$target.dict
    [ ! -f "$dictionary" ] || limits+=("-dict=$dictionary")
    if [ -n "$minimise" ]; then
        list=build/fuzz/$target.merge merged=build/fuzz/merged
        rm -rf "$list" "$merged"
        cp -r "$corpus" "$merged"
        "$program" -merge=1 -merge_control_file="$list" "$merged" "$found" >"$log" 2>&1
        while read -r file; do cp "$file" "$corpus/$(sha1sum "$file" | cut -c1-12)"; done < <(best "$list")
        printf 'fuzz: %-14s %3s files, %s\n' "$target" "$(find "$corpus" -type f | wc -l)" "$(du -sh --apparent-size "$corpus" | cut -f1)"
        continue
    fi
    # Inputs grow slowly from short to 64 KiB, a frame's bound.
    if "$program" "$found" "$corpus" -max_total_time="$seconds" -max_len=65600 -print_final_stats=1 \
        -artifact_prefix="$artifacts/" "${limits[@]}" >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
        printf 'fuzz: %-14s %9s runs, %4s edges, no fault\n' "$target" "$runs" "$edges"
    else
        bad+=("$target")
        printf 'fuzz: %-14s FAULT; %s ends with:\n' "$target" "$log"
        tail -n 25 "$log"
    fi
done
[ ${#bad[@]} -eq 0 ] || { echo "fuzz: faults in ${bad[*]}; the inputs are in fuzz/artifacts/" >&2; exit 1; }
