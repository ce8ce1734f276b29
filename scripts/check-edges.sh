#!/usr/bin/env bash
# Fails on a dependency edge that the architecture forbids, and on a direct dependency without its line in
# docs/dependencies.md. Reads the manifests themselves, so that no feature or target hides an edge.
set -euo pipefail
cd "$(dirname "$0")/.."
page=docs/dependencies.md
bad=0
complain() { echo "edges: $1" >&2; bad=1; }

# Who may depend on whom, among our crates. A name that isn't listed may depend on none of ours.
declare -A may=(
    [l402]=""
    [gate]="l402"
    [agent-api]=""
    [settings]=""
    [lnd-rpc]=""
    [lnc]=""
    [lightning]="l402 settings lnc lnd-rpc"
    [store]="l402"
    [l402d]="l402 gate agent-api settings lightning store ecash"
    [ngx_http_l402_module]="l402 gate agent-api settings"
    [ecash]=""
    [lnsim]="l402 lnd-rpc"
    [cli]="l402 lnd-rpc"
    [scenarios]=""
    [bench]="l402 gate lnc lnd-rpc lnsim"
)
# What their tests may use beyond that. lnsim never sees lightning, or one mistake would pass on both sides.
declare -A tests_may=(
    [lightning]="lnsim"
    [lnc]="lnd-rpc lnsim"
    [l402d]="lnsim"
    [cli]="lnsim"
    [scenarios]="l402 agent-api lnd-rpc lnsim lightning settings"
)

# The dependencies of a manifest, one a line: kind (normal, dev), name.
dependencies() {
    awk '
        /^\[/ {
            kind = ""
            if ($0 ~ /dev-dependencies/) kind = "dev"
            else if ($0 ~ /dependencies/ && $0 !~ /workspace\.dependencies/) kind = "normal"
            if (kind != "" && match($0, /dependencies\.[A-Za-z0-9_-]+/)) {
                print kind, substr($0, RSTART + 13, RLENGTH - 13)
                kind = ""
            }
            next
        }
        kind != "" && match($0, /^[A-Za-z0-9_-]+/) { print kind, substr($0, RSTART, RLENGTH) }
    ' "$1"
}
package() { sed -n 's/^name = "\(.*\)"/\1/p' "$1" | head -n 1; }
word_in() { [[ " $2 " == *" $1 "* ]]; }

manifests=(crates/*/Cargo.toml tests/Cargo.toml bench/Cargo.toml)
ours=""
for manifest in "${manifests[@]}"; do ours+=" $(package "$manifest")"; done

used=""
for manifest in "${manifests[@]}"; do
    name=$(package "$manifest")
    [ -n "${may[$name]+known}" ] || complain "$manifest: $name is new: say in scripts/check-edges.sh what it may depend on"
    while read -r kind dependency; do
        if word_in "$dependency" "$ours"; then
            allowed=${may[$name]:-}
            [ "$kind" = normal ] || allowed+=" ${tests_may[$name]:-}"
            word_in "$dependency" "$allowed" || complain "$manifest: $name must not depend on $dependency ($kind)"
        else
            used+=" $dependency"
            grep -q "^| \`$dependency\` |" "$page" || complain "$manifest: $dependency has no line in $page"
        fi
    done < <(dependencies "$manifest")
done

# Lines that nothing needs any more, in the page and in the workspace's list.
while read -r dependency; do
    word_in "$dependency" "$used" || complain "$page: nothing depends on $dependency any more"
done < <(sed -n 's/^| `\([A-Za-z0-9_-]*\)` |.*/\1/p' "$page")
while read -r dependency; do
    word_in "$dependency" "$used $ours" || complain "Cargo.toml: nothing depends on $dependency any more"
done < <(sed -n '/^\[workspace.dependencies\]/,/^\[/s/^\([A-Za-z0-9_-]*\) *=.*/\1/p' Cargo.toml)

# The module lives in nginx's address space: nothing in its tree may wait, speak to a network or open a database.
forbidden="cdk tokio mio rustls ring aws-lc-rs openssl openssl-sys native-tls hyper h2 reqwest rusqlite libsqlite3-sys redis tonic"
tree=$(cargo tree --locked -p ngx_http_l402_module -e normal --prefix none -f '{p}' | awk '{ print $1 }' | sort -u)
for dependency in $forbidden; do
    ! grep -qx "$dependency" <<<"$tree" || complain "the module's tree holds $dependency: cargo tree -p ngx_http_l402_module -i $dependency"
done

# Only the module has unsafe code; every other crate forbids it.
for manifest in "${manifests[@]}"; do
    name=$(package "$manifest")
    dir=$(dirname "$manifest")
    [ "$name" != ngx_http_l402_module ] || continue
    for root in "$dir"/src/lib.rs "$dir"/src/main.rs; do
        [ -f "$root" ] || continue
        grep -q '^#!\[forbid(unsafe_code)\]' "$root" || complain "$root: #![forbid(unsafe_code)] is missing"
    done
done

[ "$bad" = 0 ] && echo "edges: ${#manifests[@]} crates, $(wc -l <<<"$tree") crates in the module's tree, all as drawn"
exit "$bad"
