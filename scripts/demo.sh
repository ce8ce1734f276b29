#!/usr/bin/env bash
# The demo: a simulated Lightning node, nginx with a paid location, a client that buys. `--serve` leaves it running.
# WALLET=lnd|lnc|cln|clnrest|bolt12|eclair|lnurl|nwc is how nginx reaches the node; FAULTS="expiry=300 received=9000" is what
# the node does differently (lnsim --help).
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
wallet=$(tr '[:upper:]' '[:lower:]' <<<"${WALLET:-lnd}")
read -r -a faults <<<"${FAULTS:-}"
nginx=$(command -v nginx || echo /usr/sbin/nginx)
work=$(mktemp -d /tmp/l402-demo.XXXXXX)
lnsim_pid='' nginx_pid=''

stop() {
    local code=$?
    if [ -n "$nginx_pid" ] && kill -QUIT "$nginx_pid" 2>/dev/null; then
        while kill -0 "$nginx_pid" 2>/dev/null; do wait_a_moment; done
    fi
    [ -z "$lnsim_pid" ] || { kill "$lnsim_pid" 2>/dev/null && wait "$lnsim_pid" 2>/dev/null; } || true
    if [ "$code" != 0 ] && [ "$code" != 130 ] && [ -s "$work/error.log" ]; then
        echo "--- the end of nginx's error log" >&2
        tail -n 20 "$work/error.log" >&2
    fi
    rm -rf "$work"
    exit "$code"
}
trap stop EXIT
trap 'exit 130' INT TERM

wait_a_moment() { read -r -t 0.05 <> <(:) || true; }
wait_for() { # what to say, then a command that succeeds once it is there
    local what=$1; shift
    for _ in $(seq 200); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        wait_a_moment
    done
    echo "demo: gave up waiting for $what" >&2
    return 1
}
free_port() { # one that nothing listens on now
    local port
    while port=$((20000 + RANDOM % 20000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1. A simulated Lightning node (lnsim) and nginx with the module"
mkdir -p "$work/node" "$work/state"
"$root/build/lnsim" --dir "$work/node" --door "$wallet" "${faults[@]/#/--fault=}" >"$work/lnsim.out" 2>"$work/lnsim.log" &
lnsim_pid=$!
wait_for "lnsim" grep -q '^ready ' "$work/lnsim.out"
lnd_address=$(sed -n 's/^ready .*lnd=\([^ ]*\).*/\1/p' "$work/lnsim.out")
macaroons=$work/node/data/chain/bitcoin/regtest

port=$(free_port)
user=$(id -un)
cat >"$work/nginx.conf" <<EOF
load_module $root/build/ngx_http_l402_module.so;
user $user;
worker_processes 2;
pid $work/nginx.pid;
error_log $work/error.log notice;
events {}
http {
    access_log $work/access.log;
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    l402_state_dir $work/state;

    server {
        listen 127.0.0.1:$port;
        location = /free  { default_type text/plain; return 200 "This one is free.\n"; }
        location /paid/ {
            l402 on;
            l402_amount_msat_default 10000;
            l402_auto_detect_payment on;
            alias $work/html/;
        }
    }
}
EOF
mkdir -p "$work/html"
echo "What you paid for." >"$work/html/article.txt"

set -a
# shellcheck source=/dev/null # written by lnsim
. "$work/node/$wallet.env"
set +a
"$nginx" -p "$work" -c "$work/nginx.conf" -e "$work/error.log"
nginx_pid=$(cat "$work/nginx.pid")
url=http://127.0.0.1:$port/paid/article.txt
echo "nginx serves $url for 10000 msat; its wallet ($wallet) is the node at $lnd_address"

# The client pays from the node's other half, with the macaroon that may spend.
pay=(--lnd-address "$lnd_address" --lnd-cert "$work/node/tls.cert" --lnd-macaroon "$macaroons/admin.macaroon"
    --max-msat 20000 --tokens "$work/tokens.json")

if [ "${1:-}" = --serve ]; then
    say "It serves. Type, in another terminal:"
    cat <<EOF
curl -i $url
$root/build/l402 get ${pay[*]} $url
$root/build/l402 get --auto-detect ${pay[*]} $url
tail -f $work/error.log $work/access.log

Ctrl-C ends it and removes $work.
EOF
    wait "$lnsim_pid"
    exit
fi

say "2. A request without payment: 402 and a challenge"
curl -sS -i "$url" | tee "$work/402.txt"
grep -q '^HTTP/1.1 402' "$work/402.txt"
challenge=$(sed -n 's/^[Ww][Ww][Ww]-[Aa]uthenticate: //p' "$work/402.txt" | tr -d '\r')

say "3. The challenge, decoded"
"$root/build/l402" inspect "$challenge"

say "4. The client pays and comes back with macaroon:preimage"
"$root/build/l402" get -i "${pay[@]}" "$url" | tee "$work/200.txt"
grep -q '^What you paid for' "$work/200.txt"

say "5. The same by auto-detect: it comes back with the macaroon alone"
"$root/build/l402" get -i --auto-detect "${pay[@]}" "$url" | tee "$work/200.txt"
grep -q '^What you paid for' "$work/200.txt"

say "Both were served. Stopping nginx and the node."
