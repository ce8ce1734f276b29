#!/bin/sh
# Builds the real LND pair of the scenarios into .cache/lnd: `node` (LND),
# `btcd` and `rig`. 3–4 minutes on two cores the first time, nothing when its
# sources and Go are those of the last build. Without Go it says so and
# succeeds: the scenarios then report "skipped: no go".
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
source=$root/tests/peers/lnd
out=$root/.cache/lnd

if ! command -v go >/dev/null 2>&1; then
    echo "build-lnd: no go, the scenarios on a real LND will be skipped"
    exit 0
fi

stamp=$(cd "$source" && { go version; cat go.mod go.sum node/*.go rig/*.go; } | sha256sum)
if [ -x "$out/node" ] && [ -x "$out/btcd" ] && [ -x "$out/rig" ] \
    && [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

echo "build-lnd: building LND and btcd with $(go version)"
mkdir -p "$out"
cd "$source"
rm -f "$out/stamp"
go build -trimpath -buildvcs=false -ldflags '-s -w' \
    -tags 'invoicesrpc routerrpc signrpc walletrpc chainrpc' \
    -o "$out/" ./node ./rig github.com/btcsuite/btcd
printf '%s\n' "$stamp" >"$out/stamp"
