#!/bin/sh
# Installs a peer of the scenarios that is written in JavaScript, `nwc`, `lnurl` or `cashu-ts`, into .cache/NAME, as its
# tests/peers/NAME/package-lock.json pins it: seconds the first time, nothing when its sources are those of the last time.
# Without npm, or where npm can't reach its registry, it says so and succeeds: the scenarios then report what they skip.
set -eu

name=$1
root=$(cd "$(dirname "$0")/.." && pwd)
source=$root/tests/peers/$name
out=$root/.cache/$name

if ! command -v npm >/dev/null 2>&1 || ! command -v node >/dev/null 2>&1; then
    echo "npm-peer: no npm, the scenarios with $name will be skipped"
    exit 0
fi

stamp=$(cd "$source" && { node --version; cat package.json package-lock.json .npmrc rig.mjs; } | sha256sum)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

mkdir -p "$out"
rm -f "$out/stamp"
cp "$source/package.json" "$source/package-lock.json" "$source/.npmrc" "$source/rig.mjs" "$out/"
cd "$out"
if ! timeout 300 npm ci --silent; then
    echo "npm-peer: npm could not install, the scenarios with $name will be skipped"
    exit 0
fi
printf '%s\n' "$stamp" >stamp
