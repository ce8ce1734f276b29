#!/bin/sh
# Installs the real Cashu mint of the tests (Nutshell, from PyPI) into .cache/cashu-mint: a minute the first time, nothing
# when it is there. Without python3, or where it can't be installed, it says so and succeeds: the tests with a real mint
# then report "skipped".
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/.cache/cashu-mint
# Newer marshmallow and limits break it.
wanted='cashu==0.20.2 marshmallow<4 limits<4'

if ! command -v python3 >/dev/null 2>&1; then
    echo "cashu-mint: no python3, the tests with a real mint will be skipped"
    exit 0
fi
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

echo "cashu-mint: installing a Cashu mint with $(python3 --version)"
rm -rf "$out"
mkdir -p "$root/.cache"
log=$(mktemp)
# shellcheck disable=SC2086 # three words
if python3 -m venv "$out" >"$log" 2>&1 && "$out/bin/pip" install --quiet --disable-pip-version-check $wanted >>"$log" 2>&1
then
    printf '%s' "$wanted" >"$out/stamp"
else
    tail -n 3 "$log" >&2
    echo "cashu-mint: it can't be installed, the tests with a real mint will be skipped"
    rm -rf "$out"
fi
rm -f "$log"
