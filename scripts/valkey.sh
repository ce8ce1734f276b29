#!/usr/bin/env bash
# A Valkey for the tests, from Debian's backports, unpacked into .cache/valkey without being installed. Without one they use Redis alone.
set -euo pipefail
cd "$(dirname "$0")/.."
to=$PWD/.cache/valkey
program=$to/usr/bin/valkey-server
if [ -x "$program" ] || command -v valkey-server >/dev/null; then exit 0; fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "valkey: no Debian, so the tests run on Redis alone" >&2
    exit 0
fi
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
# From where this system has its packages. Later releases of Debian have it without backports.
site=$(apt-get indextargets --format '$(SITE) $(RELEASE)' | awk -v release="$release" '$2 == release { print $1; exit }')
if [ -z "$site" ]; then
    echo "valkey: apt knows no source of $release, so the tests run on Redis alone" >&2
    exit 0
fi
printf 'deb %s %s main\n' "$site" "$release" "$site" "$release-backports" >"$work/sources.list"
apt=(apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists"
    -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root)
if ! "${apt[@]}" update || ! (cd "$work" && "${apt[@]}" download valkey-server valkey-tools); then
    echo "valkey: no package valkey-server for $release, so the tests run on Redis alone" >&2
    exit 0
fi
for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; done
"$work/root/usr/bin/valkey-server" --version >/dev/null || {
    echo "valkey: valkey-server can't be run here, so the tests run on Redis alone" >&2
    exit 0
}
mkdir -p "$(dirname "$to")"
rm -rf "$to"
mv "$work/root" "$to"
echo "valkey: $("$program" --version)"
