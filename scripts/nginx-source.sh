#!/usr/bin/env bash
# Lays out and configures the headers of the system's nginx in build/nginx-src, unless NGINX_SOURCE_DIR names another tree.
set -euo pipefail
cd "$(dirname "$0")/.."

own=$PWD/build/nginx-src
source=${NGINX_SOURCE_DIR:-$own}
objs=${NGINX_BUILD_DIR:-$source/objs}
if [ "$source" != "$own" ]; then
    if [ ! -f "$source/src/core/nginx.h" ] || [ ! -f "$objs/ngx_auto_config.h" ]; then
        echo "nginx-source: $source is no nginx source configured in $objs: run its ./configure first" >&2
        exit 1
    fi
    exit 0
fi

system=${NGINX_DEV_DIR:-/usr/share/nginx/src}
if [ ! -f "$system/conf_flags" ]; then
    echo "nginx-source: no $system/conf_flags: install nginx-dev, or set NGINX_SOURCE_DIR" >&2
    exit 1
fi
# The bindings must be those of the nginx that will load the module.
stamp=$(cat "$system/conf_flags" "$system/src/core/nginx.h" | sha256sum)
if [ -f "$objs/Makefile" ] && [ "$(cat "$own/.stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

echo "nginx-source: configuring $system in build/nginx-src"
rm -rf "$own"
mkdir -p "$own"
cp -r "$system/." "$own/"
cd "$own"
# shellcheck source=/dev/null
. ./conf_flags
./configure "${NGX_CONF_FLAGS[@]}" >configure.log 2>&1 || {
    tail -n 20 configure.log >&2
    exit 1
}
printf '%s\n' "$stamp" >.stamp
