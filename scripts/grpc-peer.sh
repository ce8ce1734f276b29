#!/bin/sh
# Installs the gRPC server and client of the tests (grpcio, from PyPI) into .cache/grpc-peer: some seconds the first time,
# nothing when it is there. Without python3, or where it can't be installed, it says so and succeeds: the scenarios on gRPC then
# report "skipped".
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/.cache/grpc-peer
wanted='grpcio==1.85.3'

if ! command -v python3 >/dev/null 2>&1; then
    echo "grpc-peer: no python3, the scenarios on gRPC will be skipped"
    exit 0
fi
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

echo "grpc-peer: installing grpcio with $(python3 --version)"
rm -rf "$out"
mkdir -p "$root/.cache"
log=$(mktemp)
if python3 -m venv "$out" >"$log" 2>&1 && "$out/bin/pip" install --quiet --disable-pip-version-check "$wanted" >>"$log" 2>&1
then
    printf '%s' "$wanted" >"$out/stamp"
else
    tail -n 3 "$log" >&2
    echo "grpc-peer: it can't be installed, the scenarios on gRPC will be skipped"
    rm -rf "$out"
fi
rm -f "$log"
