//! The list: every setting of the module and of l402d, in the order of the reference. The records of backends are in
//! the files of their kinds.
use crate::ecash::{
    CASHU_DB_PATH, CASHU_ECASH_SUPPORT, CASHU_MAX_HELD, CASHU_P2PK_MODE, CASHU_P2PK_PRIVATE_KEY,
    CASHU_REQUEST_FORMAT, CASHU_REQUIRE_DLEQ, CASHU_WALLET_MNEMONIC, CASHU_WALLET_MNEMONIC_FILE,
    CASHU_WHITELISTED_MINTS,
};
use crate::payout::{
    CASHU_MAX_PROOFS_PER_MELT, CASHU_MELT_FEE_RESERVE_PERCENT, CASHU_MELT_MIN_BALANCE,
    CASHU_MELT_MIN_FEE_RESERVE, CASHU_REDEEM_ON_LIGHTNING, CASHU_REDEMPTION_INTERVAL, CASHU_TOKEN_TTL,
};
use crate::record::Context::{Http, Location, Server};
use crate::{
    BACKEND_TIMEOUT, BackendKind, Context, Directive, Kind, LN_CLIENT_TYPE, PREIMAGE_TTL, REDIS_CA_FILE,
    REDIS_POOL_SIZE, REDIS_URL, Setting,
};
use std::sync::LazyLock;

const EVERYWHERE: &[Context] = &[Http, Server, Location];

/// The backend that the environment defines, and that a location uses if it names none.
pub const DEFAULT_BACKEND: &str = "default";
/// Default of `l402_macaroon_timeout`, in seconds: no expiry.
pub const DEFAULT_MACAROON_TIMEOUT_S: u64 = 0;
/// Default of `l402_max_uses`.
pub const DEFAULT_MAX_USES: u32 = 1;
/// Default of `l402_agent_timeout`, in milliseconds.
pub const DEFAULT_AGENT_TIMEOUT_MS: u64 = 15_000;
/// Default of `l402_state_dir`.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/l402d";
/// Default of `RUST_LOG`.
pub const DEFAULT_LOG_FILTER: &str = "info";
/// How many root keys may be in force at once; a front end is told all of them.
pub const MAX_ROOT_KEYS: usize = 32;

/// A directive that is one word and one argument, allowed everywhere.
const fn everywhere(name: &'static str, arguments: &'static str, variables: bool) -> Option<Directive> {
    Some(Directive { name, arguments, arity: (1, 1), contexts: EVERYWHERE, block: &[], variables })
}

/// A directive of `http {}` with one argument.
const fn http_only(name: &'static str, arguments: &'static str) -> Option<Directive> {
    Some(Directive { name, arguments, arity: (1, 1), contexts: &[Http], block: &[], variables: false })
}

/// `l402`
pub static L402: Setting = Setting {
    key: "l402",
    env: None,
    directive: everywhere("l402", "on | off | $variable", true),
    block_key: None,
    kind: Kind::Flag,
    default: "off",
    why: "Nothing is sold unless it is said.",
    doc: "Sells what this location serves: a request without a paid credential gets `402 Payment Required` \
          with an invoice. An inner `off` wins over an outer `on`, so that parts of a paid server can be free.\n\n\
          The check runs after `allow`/`deny`, `auth_basic` and `auth_request`: a client that these turn away \
          is never asked to pay. It runs after `return` and `rewrite … redirect`, too: what these answer is free, and \
          `nginx -t` warns of a location that sells and has one.\n\n\
          In a server that sells, a request whose target nginx and an upstream may read as two paths is answered with \
          400 in every location: one with a dot segment (`/a/../b`, `%2e%2e`), a segment that begins with `.;` or `..;`, \
          a backslash, or a raw `#` ([why](../guides/upstreams.md)).\n\n\
          With a variable (from `map` or `geo`, say) each request decides. A value that is no boolean word, \
          the empty one included, is answered with 500 and one line in the error log that names it; it never \
          makes the location free.",
    example: "# Free inside, paid outside.\n\
              geo $paid {\n    default on;\n    10.0.0.0/8 off;\n}\n\n\
              location /reports/ {\n    l402 $paid;\n    l402_amount_msat_default 10000;\n}",
};

/// `l402_amount_msat_default`
pub static AMOUNT_MSAT_DEFAULT: Setting = Setting {
    key: "l402_amount_msat_default",
    env: None,
    directive: everywhere("l402_amount_msat_default", "number | $variable", true),
    block_key: None,
    kind: Kind::Msat,
    default: "",
    why: "None: a price is a decision. `nginx -t` fails where `l402` may be on and no price is set.",
    doc: "The price in millisatoshi (1 satoshi is 1000 millisatoshi). Prices that are no whole number of \
          satoshis are allowed, but some wallets round them up.\n\n\
          With a variable the price is computed for each request; a value that is no price, the empty one \
          included, is answered with 500 and one line in the error log. A token bought at a computed price \
          remembers what was paid (`amount_msat=`) and serves only requests that cost no more. A constant \
          price may rise without taking back what was sold.\n\n\
          With `REDIS_URL` another price may be listed for a path while everything runs \
          ([how](../guides/redis.md#prices)). A token bought at it serves what costs no more by the price written here.",
    example: "map $arg_size $price {\n    default 1000;\n    large 25000;\n}\n\n\
              location /render {\n    l402 on;\n    l402_amount_msat_default $price;\n}",
};

/// `l402_macaroon_timeout`
pub static MACAROON_TIMEOUT: Setting = Setting {
    key: "l402_macaroon_timeout",
    env: None,
    directive: everywhere("l402_macaroon_timeout", "time", false),
    block_key: None,
    kind: Kind::Life,
    default: "0",
    why: "Who has paid gets what was paid for, however late: a single-use token does no harm by its age, \
          because what it bought is drawn once. Set a time where access is indefinite.",
    doc: "How long a token serves, counted from its challenge: seconds, or a time such as `10m`, `24h`, `30d`. \
          `0` means that it does not expire. An expired token is answered with 402 and a fresh challenge.",
    example: "# One payment opens the archive for a day.\n\
              l402_indefinite_access on;\nl402_macaroon_timeout 24h;",
};

/// `l402_auto_detect_payment`
pub static AUTO_DETECT_PAYMENT: Setting = Setting {
    key: "l402_auto_detect_payment",
    env: None,
    directive: everywhere("l402_auto_detect_payment", "on | off", false),
    block_key: None,
    kind: Kind::Flag,
    default: "off",
    why: "A preimage proves a payment without asking the node; the look-up is for clients that can't get one.",
    doc: "A macaroon alone is enough: the server looks the settlement up. Clients that send a preimage are \
          served as before. Not paid yet is answered with 402 and the same invoice; with the directive off, \
          a macaroon alone is answered with 401.",
    example: "l402_auto_detect_payment on;",
};

/// `l402_indefinite_access`
pub static INDEFINITE_ACCESS: Setting = Setting {
    key: "l402_indefinite_access",
    env: None,
    directive: everywhere("l402_indefinite_access", "on | off", false),
    block_key: None,
    kind: Kind::Flag,
    default: "off",
    why: "One payment, one request.",
    doc: "One payment serves any number of requests until the token expires. It overrides `l402_max_uses`. \
          How often a token serves is written into it when it is sold: a later change concerns new tokens.",
    example: "l402_indefinite_access on;\nl402_macaroon_timeout 1h;",
};

/// `l402_max_uses`
pub static MAX_USES: Setting = Setting {
    key: "l402_max_uses",
    env: None,
    directive: everywhere("l402_max_uses", "number", false),
    block_key: None,
    kind: Kind::Uses,
    default: "1",
    why: "One payment, one request.",
    doc: "How many requests one payment serves. Each is drawn from the payment atomically and durably before \
          it is granted, over all workers: `$l402_remaining_uses` tells what is left.",
    example: "# A payment buys ten downloads.\nl402_max_uses 10;",
};

/// `l402_realm`
pub static REALM: Setting = Setting {
    key: "l402_realm",
    env: None,
    directive: Some(Directive {
        name: "l402_realm",
        arguments: "name [shared] | off",
        arity: (1, 2),
        contexts: EVERYWHERE,
        block: &[],
        variables: false,
    }),
    block_key: None,
    kind: Kind::Realm,
    default: "off",
    why: "A token opens the one path and method that it was sold for.",
    doc: "Binds tokens to a name instead of to the exact path and method: one bought anywhere in the realm \
          serves everywhere in it. A realm ends at its [origin](#l402_origin) unless every server that belongs to it \
          writes `shared`. `off` leaves the realm of the outer level (so no realm can bear that name).\n\n\
          A realm is worth something only to a token that serves more than once: `nginx -t` refuses it without \
          `l402_indefinite_access on` or `l402_max_uses` of at least 2.",
    example: "location /archive/ {\n    l402 on;\n    l402_amount_msat_default 50000;\n    \
              l402_realm \"archive\";\n    l402_indefinite_access on;\n    l402_macaroon_timeout 24h;\n}",
};

/// `l402_origin`
pub static ORIGIN: Setting = Setting {
    key: "l402_origin",
    env: None,
    directive: Some(Directive {
        name: "l402_origin",
        arguments: "name[:port]",
        arity: (1, 1),
        contexts: &[Server],
        block: &[],
        variables: false,
    }),
    block_key: None,
    kind: Kind::Origin,
    default: "",
    why: "None: the name that the client asked for, and the port.",
    doc: "The shop that a token of this server is good at. Without it that is the first exact name in `server_name` where \
          the client asks for one of the server's exact names, and else the name that the client asks for (of a wildcard, a \
          regular expression or the default server), followed by the port that nginx listens on unless that is 80 or 443. \
          A token is good at every exact name of its server.\n\n\
          With it all names and ports of the server are one shop, and all servers that write the same name are, too. It \
          also keeps tokens good when a host is renamed.\n\n\
          `nginx -t` refuses two servers that sell and can be asked for as one origin, unless both say theirs. Ports 80 and \
          443 count as one, and addresses are not looked at.",
    example: "server {\n    listen 8080;\n    server_name new.example;\n    l402_origin old.example;\n}",
};

/// `l402_shared_cache`
pub static SHARED_CACHE: Setting = Setting {
    key: "l402_shared_cache",
    env: None,
    directive: everywhere("l402_shared_cache", "on | off", false),
    block_key: None,
    kind: Kind::Flag,
    default: "off",
    why: "A cache that serves what was paid for to who has not paid gives it away.",
    doc: "Whether shared caches (a CDN, a proxy in front) may keep what was paid for. Off, an answer that was paid for says \
          `Cache-Control: private` whatever else the upstream, `expires` or `add_header` say: `public`, `s-maxage` and \
          headers for shared caches alone are taken out, and `Vary` names the headers that hold credentials. The same holds \
          for an answer that is free by a variable of `l402`, but for `Vary`. `proxy_cache` of the same location is not \
          concerned: nginx looks at it after the payment.\n\n\
          On, these answers go out as they are. An answer that carries a token of its own is `no-store` in any case, and \
          so is every 402 and 401.",
    example: "# The CDN asks for the payment itself.\nl402_shared_cache on;",
};

/// `l402_invoice_rate_limit`
pub static INVOICE_RATE_LIMIT: Setting = Setting {
    key: "l402_invoice_rate_limit",
    env: None,
    directive: everywhere("l402_invoice_rate_limit", "rate | off", false),
    block_key: None,
    kind: Kind::Rate,
    default: "off",
    why: "A location that few know needs none; how many challenges are too many only the operator can say.",
    doc: "How many challenges a client address gets in this location: `5r/m` is five at once, and then one each twelve \
          seconds. Beyond that the answer is 429 with `Retry-After`, and no invoice is made. Requests that have paid are \
          not counted.\n\n\
          With `l402_auto_detect_payment on` it also limits how often the wallet is asked whether a payment has arrived: ten \
          times as often, counted by itself; twice a second for each address where this directive is `off`. What l402d \
          knows already is not counted, and neither is a look-up that finds the payment. Beyond it the answer is 429, and \
          the token stays good. `r/s`, `r/m` and `r/h` are known; a number alone is per minute.\n\n\
          The address is the one that nginx has (`set_real_ip_from` and `real_ip_header` choose it behind a proxy); of \
          IPv6 the first 64 bits count. With `REDIS_URL` all hosts count together; without Redis, or while it can't be \
          reached, each counts for itself.",
    example: "location /reports/ {\n    l402 on;\n    l402_amount_msat_default 10000;\n    l402_invoice_rate_limit 5r/m;\n}",
};

/// `l402_backend`: the reference in a location. The block in `http {}` holds the `lnd.*` settings.
pub static BACKEND: Setting = Setting {
    key: "l402_backend",
    env: None,
    directive: Some(Directive {
        name: "l402_backend",
        arguments: "name …",
        arity: (1, crate::value::MAX_BACKENDS),
        contexts: &[Server, Location],
        block: &[Http],
        variables: false,
    }),
    block_key: None,
    kind: Kind::BackendName,
    default: "default",
    why: "The backend that the environment defines.",
    doc: "In `http`, followed by a block: defines a backend (the keys are below). In `server` and `location`: \
          which backend is paid. The environment variables define the one called `default`; it can be defined \
          by a block instead, but not by both.\n\n\
          Several names, at most 8, are an order of preference: where one refuses, can't be reached or does not \
          answer within 3 s, the next makes the invoice, all within 10 s. One that failed is asked last for 5 s; then \
          one request tries it first again. A payment to any of them stays good while its name is in the list.\n\n\
          With `l402_agent` the backends are those of that l402d, and `nginx -t` can't check the names.",
    example: "http {\n    l402_backend main {\n        type     lnd;\n        address  10.0.0.5:10009;\n        \
              macaroon /etc/l402/invoice.macaroon;\n        cert     /etc/l402/tls.cert;\n    }\n\n    \
              server {\n        location /paid {\n            l402 on;\n            \
              l402_amount_msat_default 1000;\n            l402_backend main;\n        }\n    }\n}",
};

/// `l402_lnurl_addr`
pub static LNURL_ADDR: Setting = Setting {
    key: "l402_lnurl_addr",
    env: None,
    directive: everywhere("l402_lnurl_addr", "address", false),
    block_key: None,
    kind: Kind::LightningAddress,
    default: "",
    why: "None: the location's backend is paid.",
    doc: "What this location sells is paid to this Lightning address, in place of a backend: as if a backend of type \
          `lnurl` with this address were defined and named here. It wins over an outer `l402_backend` and the other \
          way round; on one level only one of them may be written. `SOCKS5_PROXY` in the environment serves an \
          `.onion`.\n\n\
          With `REDIS_URL` another address may be listed for a path while everything runs \
          ([how](../guides/redis.md#prices)).\n\n\
          With `l402_agent` the backends are those of that l402d: define one of type `lnurl` there, and name it with \
          `l402_backend`.",
    example: "location /by-alice/ {\n    l402 on;\n    l402_amount_msat_default 1000;\n    \
              l402_lnurl_addr alice@example.com;\n}",
};

/// `l402_agent`
pub static AGENT: Setting = Setting {
    key: "l402_agent",
    env: None,
    directive: http_only("l402_agent", "unix:/path"),
    block_key: None,
    kind: Kind::UnixSocket,
    default: "",
    why: "None: nginx starts l402d itself, as a co-process that lives and ends with it.",
    doc: "Uses an l402d that runs by itself, for example under systemd and a user of its own, by its socket. \
          The workers' user must be allowed to connect to it. nginx then starts none, and reads no backend, \
          root key or state directory.",
    example: "l402_agent unix:/run/l402d/l402d.sock;",
};

/// `l402_agent_timeout`
pub static AGENT_TIMEOUT: Setting = Setting {
    key: "l402_agent_timeout",
    env: None,
    directive: http_only("l402_agent_timeout", "time"),
    block_key: None,
    kind: Kind::Timeout,
    default: "15s",
    why: "Longer than a backend's own `timeout` of 10 s, so that a slow backend is answered with 504 and only a \
          slow l402d with 503.",
    doc: "How long a request may wait for l402d. It waits suspended and costs the worker nothing; when the time \
          is over it is answered with 503 and `Retry-After`.",
    example: "l402_agent_timeout 5s;",
};

/// `l402_state_dir`
pub static STATE_DIR: Setting = Setting {
    key: "state_dir",
    env: Some("L402_STATE_DIR"),
    directive: http_only("l402_state_dir", "path"),
    block_key: None,
    kind: Kind::StateDir,
    default: DEFAULT_STATE_DIR,
    why: "Where a distribution's package keeps the state of a service.",
    doc: "The directory of l402d: `l402.db` (what was claimed; losing it lets used tokens serve again), \
          `root.key` (made once at random if no root key is given), `l402d.sock` and `l402d.log`. It must exist \
          or be creatable, and belong to the user that l402d runs as. The directive wins over the variable.",
    example: "/srv/l402",
};

/// `listen` in `l402d.toml`, `--listen`.
pub static LISTEN: Setting = Setting {
    key: "listen",
    env: None,
    directive: None,
    block_key: None,
    kind: Kind::UnixSocket,
    default: "",
    why: "`l402d.sock` in the state directory.",
    doc: "The socket that nginx's workers connect to: what `l402_agent` names. Under socket activation the socket \
          is systemd's (`l402d.socket`), and this key, `socket_group` and `socket_mode` are not used. \
          `--listen` wins over it.",
    example: "unix:/run/l402d/l402d.sock",
};

/// `socket_group`
pub static SOCKET_GROUP: Setting = Setting {
    key: "socket_group",
    env: None,
    directive: None,
    block_key: None,
    kind: Kind::Group,
    default: "",
    why: "None: the socket belongs to l402d's own group, and no group may connect.",
    doc: "The socket's group, usually that of nginx's workers; whose primary group it is may connect. l402d's user \
          must be a member of it, or root. `--group` wins over it.",
    example: "www-data",
};

/// `socket_mode`
pub static SOCKET_MODE: Setting = Setting {
    key: "socket_mode",
    env: None,
    directive: None,
    block_key: None,
    kind: Kind::SocketMode,
    default: "",
    why: "`0660` with a `socket_group`, `0600` without.",
    doc: "The socket's permission bits. They are the first of two checks: whom they let through must also be in \
          `allow` or `socket_group`.",
    example: "0660",
};

/// `allow`
pub static ALLOW: Setting = Setting {
    key: "allow",
    env: None,
    directive: None,
    block_key: None,
    kind: Kind::Peers,
    default: "",
    why: "None: only root, l402d's own user and the `socket_group` may connect.",
    doc: "Who may connect besides root and l402d's own user: the user of nginx's workers (`user` in nginx.conf). The \
          kernel tells who connects, so nobody can pretend. A connection of anyone else is closed and logged. Names \
          are looked up in `/etc/passwd` and `/etc/group` when l402d starts.",
    example: "www-data",
};

/// `ROOT_KEY`
pub static ROOT_KEY: Setting = Setting {
    key: "root_key",
    env: Some("ROOT_KEY"),
    directive: None,
    block_key: None,
    kind: Kind::RootKey,
    default: "",
    why: "None: l402d makes a key at random, once, in its state directory.",
    doc: "The secret that tokens are signed with. Who knows it can make tokens without paying. Give it where \
          several hosts must accept each other's tokens. Another key makes every token stale: its holder is asked \
          to pay again; `ROOT_KEY_FILE` can hold the former key beside the new one. Make one once, with \
          `openssl rand -hex 32`, and never set it together with `ROOT_KEY_FILE`.",
    example: "\"$(cat /etc/l402/root.key)\"",
};

/// `ROOT_KEY_FILE`
pub static ROOT_KEY_FILE: Setting = Setting {
    key: "root_key_file",
    env: Some("ROOT_KEY_FILE"),
    directive: None,
    block_key: None,
    kind: Kind::RootKeyFile,
    default: "",
    why: "None, as `ROOT_KEY`.",
    doc: "A file with one key in each line, the newest first: that one signs new tokens, and all of them verify. \
          At most 32; empty lines don't count. Other users must not be able to read it. `l402d rotate-key` adds \
          one at the top ([how](../guides/rotate-the-root-key.md)).",
    example: "/etc/l402/root.key",
};

/// `L402_LOG`
pub static LOG_FILE: Setting = Setting {
    key: "log_file",
    env: Some("L402_LOG"),
    directive: None,
    block_key: None,
    kind: Kind::LogFile,
    default: "",
    why: "`l402d.log` in the state directory for the co-process, whose standard error would go stale when \
          nginx reopens its logs; standard error for an l402d that runs by itself.",
    doc: "The file that l402d appends its log to. After `SIGHUP` it is opened anew, for a `logrotate` that has \
          moved it.",
    example: "/var/log/nginx/l402d.log",
};

/// `RUST_LOG`
pub static LOG_FILTER: Setting = Setting {
    key: "log_filter",
    env: Some("RUST_LOG"),
    directive: None,
    block_key: None,
    kind: Kind::LogFilter,
    default: DEFAULT_LOG_FILTER,
    why: "What an operator wants to know and no more; no level shows a secret.",
    doc: "Which lines l402d writes: a level (`error`, `warn`, `info`, `debug`, `trace`), or a level for each part.",
    example: "info,lightning=debug",
};

/// Every setting, in the order of the reference: the module's and l402d's own, those of backends, and those of
/// `l402d.toml`. What backends of several kinds take is there once.
pub static SETTINGS: LazyLock<Vec<&'static Setting>> = LazyLock::new(|| {
    let kinds = BackendKind::ALL.iter().flat_map(|kind| kind.settings());
    let mut all: Vec<&'static Setting> = MODULE.to_vec();
    for setting in [&&LN_CLIENT_TYPE].into_iter().chain(kinds).chain([&&BACKEND_TIMEOUT]).chain(AGENTS) {
        if !all.iter().any(|known| known.key == setting.key) {
            all.push(setting);
        }
    }
    all
});

/// The module's directives.
const MODULE: &[&Setting] = &[
    &L402,
    &AMOUNT_MSAT_DEFAULT,
    &MACAROON_TIMEOUT,
    &MAX_USES,
    &INDEFINITE_ACCESS,
    &AUTO_DETECT_PAYMENT,
    &REALM,
    &ORIGIN,
    &SHARED_CACHE,
    &INVOICE_RATE_LIMIT,
    &BACKEND,
    &LNURL_ADDR,
    &AGENT,
    &AGENT_TIMEOUT,
    &STATE_DIR,
];

/// l402d's own.
const AGENTS: &[&Setting] = &[
    &LISTEN,
    &SOCKET_GROUP,
    &SOCKET_MODE,
    &ALLOW,
    &ROOT_KEY,
    &ROOT_KEY_FILE,
    &REDIS_URL,
    &REDIS_CA_FILE,
    &REDIS_POOL_SIZE,
    &PREIMAGE_TTL,
    &CASHU_ECASH_SUPPORT,
    &CASHU_WHITELISTED_MINTS,
    &CASHU_P2PK_MODE,
    &CASHU_P2PK_PRIVATE_KEY,
    &CASHU_MAX_HELD,
    &CASHU_REQUIRE_DLEQ,
    &CASHU_REQUEST_FORMAT,
    &CASHU_DB_PATH,
    &CASHU_WALLET_MNEMONIC,
    &CASHU_WALLET_MNEMONIC_FILE,
    &CASHU_TOKEN_TTL,
    &CASHU_REDEEM_ON_LIGHTNING,
    &CASHU_REDEMPTION_INTERVAL,
    &CASHU_MELT_MIN_BALANCE,
    &CASHU_MELT_FEE_RESERVE_PERCENT,
    &CASHU_MELT_MIN_FEE_RESERVE,
    &CASHU_MAX_PROOFS_PER_MELT,
    &LOG_FILE,
    &LOG_FILTER,
];

/// Variables of the former module that this version does not read; later versions will.
pub static NOT_READ_YET: &[&str] =
    &["L402_SERVICE_NAME", "L402_SERVICE_DESCRIPTION", "L402_SERVICE_OPERATOR", "L402_SERVICE_CONTACT"];
