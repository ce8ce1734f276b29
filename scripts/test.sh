#!/usr/bin/env bash
# Runs every test and ends in one summary: "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
log=build/test.log

scripts/build-lnd.sh
scripts/cashu-mint.sh
scripts/npm-peer.sh nwc
scripts/npm-peer.sh lnurl
scripts/npm-peer.sh cashu-ts
scripts/grpc-peer.sh
scripts/next-protocol.sh
scripts/faulty.sh
scripts/other-nginx.sh
scripts/valkey.sh
status=0
cargo test --release --workspace --no-fail-fast -- "$@" 2>&1 | tee "$log" || status=$?
valkey=$(command -v valkey-server || echo "$PWD/.cache/valkey/usr/bin/valkey-server")
if [ -x "$valkey" ]; then
    printf '\n== what is about Redis once more, on Valkey\n'
    REDIS_SERVER=$valkey cargo test --release --workspace --test redis -- "$@" 2>&1 | tee -a "$log" || status=$?
    REDIS_SERVER=$valkey cargo test --release --workspace --test scenarios -- "${@:-lnsim::redis::}" 2>&1 | tee -a "$log" || status=$?
else
    echo 'skipped: Valkey: there is no valkey-server (scripts/valkey.sh says why)' | tee -a "$log"
fi
# The module with faults is built for the system's nginx only.
printf '\n== the scenarios once more, on the newest stable nginx\n'
NGINX_BIN=$PWD/build/other-nginx/nginx L402_BUILD_DIR=$PWD/build/other-nginx \
    cargo test --release --workspace --test scenarios -- "${@:-lnsim::}" --skip lnsim::panics 2>&1 | tee -a "$log" || status=$?

read -r passed failed skipped < <(awk '
    /^test result:/ {
        for (i = 1; i <= NF; i++) {
            if ($i ~ /^passed/) p += $(i - 1)
            if ($i ~ /^failed/) f += $(i - 1)
            if ($i ~ /^ignored/) s += $(i - 1)
        }
    }
    END { print p + 0, f + 0, s + 0 }' "$log")
echo
grep -E '^skipped: ' "$log" || true
echo "$passed passed, $failed failed, $skipped skipped"
[ "$status" = 0 ] && [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
