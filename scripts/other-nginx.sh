#!/usr/bin/env bash
# Builds the newest stable nginx and the module for it, into build/other-nginx/: what the scenarios run on a second time.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/build/other-nginx
manifest=scripts/other-nginx/Cargo.toml

package=$(cargo metadata --format-version 1 --locked --manifest-path "$manifest" |
    grep -o '"manifest_path":"[^"]*/nginx-src-[^"]*/Cargo.toml"' | head -n 1 | sed 's/.*:"\(.*\)\/Cargo.toml"/\1/')
version=$(sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' "$package/nginx/src/core/nginx.h")
tree=$PWD/.cache/nginx-$version

if [ ! -x "$tree/objs/nginx" ]; then
    rm -rf "$tree"
    mkdir -p .cache
    cp -r "$package/nginx" "$tree"
    (
        cd "$tree"
        auto/configure --with-compat --with-debug --with-pcre-jit --with-http_ssl_module --with-http_realip_module \
            --with-http_auth_request_module --with-http_v2_module --with-http_slice_module --with-threads >configure.log
        make -j"$(nproc)" >make.log 2>&1
    )
fi
mkdir -p "$out"
build() {
    CARGO_TARGET_DIR=target/other-nginx NGINX_SOURCE_DIR=$tree NGINX_BUILD_DIR=$tree/objs \
        cargo build --release --locked -p ngx_http_l402_module "${@:2}"
    mkdir -p "$1"
    cp target/other-nginx/release/libngx_http_l402_module.so "$1/ngx_http_l402_module.so"
}
# See next-protocol.sh.
if [ -e build/next/l402d ]; then
    build "$out/next" --features agent-api/next-protocol
    ln -sf ../../next/l402d "$out/next/l402d"
    touch crates/nginx/src/lib.rs
fi
build "$out"
for program in l402d l402 lnsim; do
    ln -sf "../$program" "$out/$program"
done
ln -sf "$tree/objs/nginx" "$out/nginx"
echo "other-nginx: nginx $version in build/other-nginx/"
