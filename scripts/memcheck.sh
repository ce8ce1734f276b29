#!/usr/bin/env bash
# Runs the scenarios on the simulated node with nginx and the module under AddressSanitizer and ends in
# "memcheck: N scenarios, N errors". Arguments filter the scenarios; without any all of them run.
#
# nginx is the newest stable one. NGX_DEBUG_PALLOC makes each allocation of its pools one of malloc's, so that memory that
# is used after its request's end is found, too. The module is instrumented like nginx, and both use the run-time library
# that came with this Rust; instrumenting is a flag that stable Rust keeps to itself, hence RUSTC_BOOTSTRAP.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/build/memcheck
manifest=scripts/other-nginx/Cargo.toml
[ $# -gt 0 ] || set -- lnsim::
# Left out: injected panics, as a panic's way through frames of C is what they are about and not the sanitizer's to judge; and
# the search of a worker's memory for secrets, as the sanitizer's own memory is terabytes of address space.
set -- "$@" --skip lnsim::panics --skip nginx_holds_no_secret

host=$(rustc -vV | sed -n 's/^host: //p')
runtime=$(find "$(rustc --print sysroot)/lib/rustlib/$host/lib" -name 'librustc*_rt.asan.a' | head -n 1)
[ -n "$runtime" ] || { echo "memcheck: this Rust brings no AddressSanitizer for $host" >&2; exit 1; }
command -v gcc >/dev/null || { echo "memcheck: gcc is missing: apt install build-essential" >&2; exit 1; }

package=$(cargo metadata --format-version 1 --locked --manifest-path "$manifest" |
    grep -o '"manifest_path":"[^"]*/nginx-src-[^"]*/Cargo.toml"' | head -n 1 | sed 's/.*:"\(.*\)\/Cargo.toml"/\1/')
version=$(sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' "$package/nginx/src/core/nginx.h")
tree=$PWD/.cache/nginx-$version-asan
stamp=$(cat scripts/memcheck/*.h "$0" "$runtime" | sha256sum)
if [ "$(cat "$tree/.stamp" 2>/dev/null)" != "$stamp" ]; then
    echo "memcheck: building nginx $version"
    rm -rf "$tree"
    mkdir -p .cache
    cp -r "$package/nginx" "$tree"
    (
        cd "$tree"
        export ASAN_OPTIONS=detect_leaks=0
        auto/configure --with-compat --with-debug --with-pcre-jit --with-http_ssl_module --with-http_realip_module \
            --with-http_auth_request_module --with-http_v2_module --with-http_slice_module --with-threads \
            --with-cc-opt="-O1 -g -fsanitize=address -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1 -include $OLDPWD/scripts/memcheck/options.h" \
            --with-ld-opt="-fno-sanitize=address -Wl,--whole-archive $runtime -Wl,--no-whole-archive -Wl,-E -lpthread -ldl -lm -lrt" >configure.log
        make -j"$(nproc)" >make.log 2>&1 || { tail -n 20 make.log >&2; exit 1; }
    )
    printf '%s\n' "$stamp" >"$tree/.stamp"
fi

mkdir -p "$out"
CARGO_TARGET_DIR=target/memcheck NGINX_SOURCE_DIR=$tree NGINX_BUILD_DIR=$tree/objs RUSTC_BOOTSTRAP=1 \
    RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes" \
    cargo build --quiet --release --locked --target "$host" -p ngx_http_l402_module
cp "target/memcheck/$host/release/libngx_http_l402_module.so" "$out/ngx_http_l402_module.so"
for program in l402d l402 lnsim; do
    ln -sf "../$program" "$out/$program"
done
ln -sf "$tree/objs/nginx" "$out/nginx"

log=build/memcheck.log
status=0
NGINX_BIN=$out/nginx L402_BUILD_DIR=$out cargo test --release --workspace --test scenarios -- "$@" 2>&1 | tee "$log" || status=$?
scenarios=$(sed -n 's/^test result:.* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' "$log" | awk '{ n += $1 + $2 } END { print n + 0 }')
errors=$(grep -cE 'ERROR: (Address|Leak)Sanitizer' "$log" || true)
echo "memcheck: $scenarios scenarios, $errors errors"
[ "$status" = 0 ] && [ "$errors" = 0 ] && [ "$scenarios" -gt 0 ]
