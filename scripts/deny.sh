#!/usr/bin/env bash
# cargo-deny over deny.toml: duplicates, licences and sources always; advisories where their database can be had.
# ADVISORY_DB names another copy of it (a git directory or URL); by default it is RustSec's on GitHub.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
official=https://github.com/RustSec/advisory-db

if ! command -v cargo-deny >/dev/null; then
    PATH=$PWD/.cache/cargo-deny/bin:$PATH
    if ! command -v cargo-deny >/dev/null; then
        echo "deny: installing cargo-deny $version into .cache (once, a few minutes)"
        CARGO_TARGET_DIR=$PWD/.cache/cargo-deny/target \
            cargo install --quiet --locked --version "$version" --root .cache/cargo-deny cargo-deny
        rm -rf .cache/cargo-deny/target
    fi
fi

cargo deny check bans licenses sources

export GIT_TERMINAL_PROMPT=0
database=${ADVISORY_DB:-$official}
if ! timeout 20 git ls-remote --quiet "$database" HEAD >/dev/null 2>&1; then
    if [ -n "${ADVISORY_DB:-}" ]; then
        echo "deny: ADVISORY_DB=$ADVISORY_DB is no git repository that can be read" >&2
        exit 1
    fi
    echo "deny: advisories skipped: advisory database not reachable"
    exit 0
fi
if [ -n "${ADVISORY_DB:-}" ]; then
    # cargo-deny takes https URLs only; git is told where that one really is.
    [ ! -d "$database" ] || database=file://$(realpath "$database")
    count=${GIT_CONFIG_COUNT:-0}
    export "GIT_CONFIG_KEY_$count=url.$database.insteadOf" "GIT_CONFIG_VALUE_$count=$official"
    export GIT_CONFIG_COUNT=$((count + 1))
    [ ! -d "$ADVISORY_DB" ] || echo "deny: advisories as of $(git -C "$ADVISORY_DB" log -1 --format=%cs)"
fi
cargo deny check advisories
