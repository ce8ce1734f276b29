#!/usr/bin/env bash
# Installs the Debian packages that the build and the tests need, where they are missing.
set -euo pipefail
need=(nginx nginx-dev redis-server libclang-dev build-essential curl ca-certificates)
missing=()
for package in "${need[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
if ! command -v cargo >/dev/null; then
    echo "deps: cargo is missing: install Rust 1.88 or later (https://rustup.rs), then run this again" >&2
    exit 1
fi
[ ${#missing[@]} -gt 0 ] || exit 0

echo "deps: installing ${missing[*]}"
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
# Debian starts a service that it installs; this nginx is for building and testing.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
    made_policy=yes
fi
cleanup() { [ -z "$made_policy" ] || "${as_root[@]}" rm -f "$policy"; }
trap cleanup EXIT
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
