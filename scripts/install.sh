#!/usr/bin/env bash
# Copies the module into nginx's modules directory, the programs into the system's.
set -euo pipefail
cd "$(dirname "$0")/.."
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
modules=$(nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
"${as_root[@]}" install -D -m 0644 build/ngx_http_l402_module.so "${modules:-/usr/lib/nginx/modules}/ngx_http_l402_module.so"
# A module that nginx has loaded goes on with the l402d of its release, so the former one stays until nginx was restarted.
program=$(readlink build/l402d)
"${as_root[@]}" install -D -m 0755 "build/$program" "/usr/local/sbin/$program"
"${as_root[@]}" ln -sfn "$program" /usr/local/sbin/l402d
"${as_root[@]}" install -D -m 0755 build/l402 /usr/local/bin/l402
for former in /usr/local/sbin/l402d-*; do
    [ "$former" = "/usr/local/sbin/$program" ] || echo "install: after the restart of nginx, $former is no longer needed"
done
echo "install: load it with: load_module ${modules:-/usr/lib/nginx/modules}/ngx_http_l402_module.so;"
