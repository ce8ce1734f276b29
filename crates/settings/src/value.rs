//! The text of one value → the value. Nothing here allocates unless it returns text.
//!
//! Every function takes what was written and answers `None` for what it can't accept; the record of
//! the setting ([`crate::Setting`]) turns that into a complaint.

use crate::{punycode, tlv};

/// The highest price, in millisatoshi: all bitcoin there will ever be. It also fits LND's `int64`.
pub const MAX_MSAT: u64 = 2_100_000_000_000_000_000;

/// The longest offer taken, in characters: one with several paths has about a thousand. Each challenge's header repeats it.
const MAX_OFFER: usize = 4 * 1024;

/// The longest life of a token, in seconds (100 years), so that no date overflows.
pub const MAX_LIFE_S: u64 = 3_153_600_000;

/// Bounds of a time-out, in milliseconds: below, no node answers; above, no client waits.
pub const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=600_000;

/// Bytes of a Unix socket's path (`sun_path` without its final NUL).
pub const MAX_SOCKET_PATH: usize = 107;

/// Bytes of the state directory's path: leaves room for `/l402d.sock.<pid>` in a socket's path.
pub const MAX_STATE_DIR: usize = 88;

/// Bytes of a realm's name.
pub const MAX_REALM: usize = 128;

/// Bytes of a backend's name.
pub const MAX_BACKEND_NAME: usize = 64;
/// How many backends one location may name: a first one and those that stand in for it.
pub const MAX_BACKENDS: u8 = 8;

/// A boolean word: `on off true false 1 0 yes no`, in any case.
pub fn flag(text: &[u8]) -> Option<bool> {
    const WORDS: [(&[u8], bool); 8] = [
        (b"on", true),
        (b"off", false),
        (b"1", true),
        (b"0", false),
        (b"true", true),
        (b"false", false),
        (b"yes", true),
        (b"no", false),
    ];
    WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, value)| *value)
}

/// A whole number in decimal digits, without a sign.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// A price in millisatoshi, from 1 to [`MAX_MSAT`].
pub fn msat(text: &[u8]) -> Option<u64> {
    number(text).filter(|msat| (1..=MAX_MSAT).contains(msat))
}

/// A number of uses, at least 1.
pub fn uses(text: &[u8]) -> Option<u32> {
    number(text).and_then(|uses| u32::try_from(uses).ok()).filter(|uses| *uses >= 1)
}

/// A time in milliseconds: `10`, `10s`, `500ms`, `2m`, `24h`, `30d`; a bare number counts seconds.
pub fn milliseconds(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digits);
    let factor = match unit {
        b"ms" => 1,
        b"" | b"s" => 1000,
        b"m" => 60_000,
        b"h" => 3_600_000,
        b"d" => 86_400_000,
        _ => return None,
    };
    number(digits)?.checked_mul(factor)
}

/// A token's life in seconds, at most [`MAX_LIFE_S`]; 0 means that it does not expire. Parts of a
/// second are refused.
pub fn life(text: &[u8]) -> Option<u64> {
    let milliseconds = milliseconds(text)?;
    let seconds = milliseconds / 1000;
    (milliseconds % 1000 == 0 && seconds <= MAX_LIFE_S).then_some(seconds)
}

/// A BOLT12 offer, in msat or for any amount: `lno1…`, perhaps in pieces joined by `+` and spaces.
pub fn offer(text: &str) -> Option<String> {
    let joined: String = text.chars().filter(|letter| !matches!(letter, '+' | ' ' | '\t')).collect();
    let lower = joined.to_ascii_lowercase();
    let letters = lower.strip_prefix("lno1")?;
    let fits = letters.len() >= 8 && lower.len() <= MAX_OFFER;
    let bytes = tlv::bytes("lno", &lower).filter(|_| fits)?;
    (tlv::is_offer(&bytes) && (joined == lower || joined == joined.to_ascii_uppercase())).then_some(lower)
}

/// Any text.
pub(crate) fn utf8(value: &[u8]) -> Option<String> {
    std::str::from_utf8(value).ok().map(str::to_owned)
}

/// A time-out in milliseconds, within [`TIMEOUT_MS`].
pub fn timeout(text: &[u8]) -> Option<u64> {
    milliseconds(text).filter(|timeout| TIMEOUT_MS.contains(timeout))
}

/// A realm: the name that tokens are bound to, and whether virtual servers share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    /// 1 to [`MAX_REALM`] bytes without control characters.
    pub name: String,
    /// A token bought at one virtual server serves at each that writes `shared`.
    pub shared: bool,
}

/// The arguments of `l402_realm`: `"name"`, `"name" shared`, or `off` (`Some(None)`).
pub fn realm<T: AsRef<[u8]>>(args: &[T]) -> Option<Option<Realm>> {
    let shared = match args {
        [only] if only.as_ref() == b"off" => return Some(None),
        [_] => false,
        [_, word] if word.as_ref() == b"shared" => true,
        _ => return None,
    };
    let name = std::str::from_utf8(args.first()?.as_ref()).ok()?;
    let fits = (1..=MAX_REALM).contains(&name.len()) && !name.chars().any(char::is_control);
    fits.then(|| Some(Realm { name: name.to_owned(), shared }))
}

/// The longest origin: a DNS name and a port.
const MAX_ORIGIN: usize = 253 + 6;

/// `name` or `name:port`, in lower case; an IPv6 address in brackets is a name.
pub fn origin(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= MAX_ORIGIN)?;
    let (name, port) = match text.rsplit_once(':').filter(|_| !text.ends_with(']')) {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let is_port = |text: &str| !text.starts_with(['0', '+']) && text.parse::<u16>().is_ok();
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let fits = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        }
    };
    (fits && port.is_none_or(is_port)).then(|| text.to_ascii_lowercase())
}

/// How often something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub limit: u32,
    /// In how many seconds.
    pub window_s: u32,
}

/// `5r/s`, `5r/m`, `5r/h`, `5` (a minute), or `off` (`Some(None)`).
pub fn rate(text: &[u8]) -> Option<Option<Rate>> {
    if text == b"off" {
        return Some(None);
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digits);
    let window_s = match unit {
        b"r/s" => 1,
        b"r/m" | b"" => 60,
        b"r/h" => 3600,
        _ => return None,
    };
    uses(digits).map(|limit| Some(Rate { limit, window_s }))
}

/// A backend's name: 1 to [`MAX_BACKEND_NAME`] letters, digits, `-` or `_`.
pub fn backend_name(text: &[u8]) -> Option<&str> {
    let fits = (1..=MAX_BACKEND_NAME).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    fits.then(|| std::str::from_utf8(text).ok()).flatten()
}

/// Names of backends, each once and at most [`MAX_BACKENDS`], in order of preference → the same, separated by a space.
pub fn backend_names<T: AsRef<[u8]>>(args: &[T]) -> Option<String> {
    let names: Vec<&str> = args.iter().map(|name| backend_name(name.as_ref())).collect::<Option<_>>()?;
    let again = (1..names.len()).any(|at| names[..at].contains(&names[at]));
    ((1..=usize::from(MAX_BACKENDS)).contains(&names.len()) && !again).then(|| names.join(" "))
}

/// `unix:/path` → the path, absolute and at most [`MAX_SOCKET_PATH`] bytes.
pub fn unix_socket(text: &[u8]) -> Option<&str> {
    absolute_path(text.strip_prefix(b"unix:")?, MAX_SOCKET_PATH)
}

/// A directory for l402d: absolute, at most [`MAX_STATE_DIR`] bytes, without a final `/`.
pub fn state_dir(text: &[u8]) -> Option<&str> {
    let trimmed = absolute_path(text, usize::MAX)?.trim_end_matches('/');
    (1..=MAX_STATE_DIR).contains(&trimmed.len()).then_some(trimmed)
}

/// An absolute path in UTF-8 without control characters, at most `max` bytes.
pub fn absolute_path(text: &[u8], max: usize) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    (text.starts_with('/') && text.len() <= max && !text.chars().any(char::is_control)).then_some(text)
}

/// Ten words of letters → the same in lower case with single spaces. Whether each is a word of the list is for the
/// one who pairs to say.
pub fn pairing_phrase(text: &str) -> Option<String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
    let fits =
        |word: &String| (3..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase());
    (words.len() == 10 && words.iter().all(fits)).then(|| words.join(" "))
}

/// A mailbox: `host[:port]`, with `wss://` or `grpcs://` before it or nothing. The port becomes 443 if none is written.
pub fn mailbox(text: &str) -> Option<String> {
    let (scheme, rest) = match text.trim().split_once("://") {
        Some(("wss", rest)) => ("wss://", rest),
        Some(("grpcs", rest)) => ("grpcs://", rest),
        Some(_) => return None,
        None => ("", text.trim()),
    };
    address(rest, 443).map(|address| format!("{scheme}{address}"))
}

/// A user or group of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

/// Who may connect to l402d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A user.
    User(Account),
    /// Those whose primary group it is.
    Group(Account),
}

/// The name or number of a user or group.
pub fn account(text: &str) -> Option<Account> {
    if let Some(number) = number(text.as_bytes()) {
        // The highest number is the kernel's "none".
        return u32::try_from(number).ok().filter(|id| *id < u32::MAX).map(Account::Id);
    }
    let fits = (1..=64).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte));
    fits.then(|| Account::Name(text.to_owned()))
}

/// `www-data`, `33`, `@www-data` or `@33`.
pub fn peer(text: &str) -> Option<Peer> {
    match text.strip_prefix('@') {
        Some(group) => account(group).map(Peer::Group),
        None => account(text).map(Peer::User),
    }
}

/// A socket's permission bits in three octal digits, with or without a `0` in front.
pub fn socket_mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0')).unwrap_or(text);
    let octal = digits.len() == 3 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten()?;
    (mode & 0o600 == 0o600).then_some(mode)
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address → `host:port`. A prefix
/// `https://` and a final `/` are tolerated, as operators copy them from a browser.
pub fn address(text: &str, default_port: u16) -> Option<String> {
    let text = strip_scheme(text, "https://").unwrap_or(text);
    let (host, port) = host_and_port(text.strip_suffix('/').unwrap_or(text))?;
    Some(format!("{host}:{}", port.unwrap_or(default_port)))
}

/// `host`, `host:port`, or either with `http://` or `https://` in front → `scheme://host:port`; without a scheme it is
/// http. A final `/` is tolerated.
pub fn http_address(text: &str, default_port: u16) -> Option<String> {
    let (scheme, rest) = match (strip_scheme(text, "http://"), strip_scheme(text, "https://")) {
        (Some(rest), _) => ("http", rest),
        (None, Some(rest)) => ("https", rest),
        (None, None) => ("http", text),
    };
    let (host, port) = host_and_port(rest.strip_suffix('/').unwrap_or(rest))?;
    Some(format!("{scheme}://{host}:{}", port.unwrap_or(default_port)))
}

/// A Lightning address in its one form, from how people write and copy it: in capitals, with `⚡` or `lightning:` in front, or
/// with a `/` at its end. `user@host`, `user@host:port`, or either with `https://` in front, which is taken away, or with `http://`, which is for
/// hosts of this network only.
pub fn lightning_address(text: &str) -> Option<String> {
    let text = text.trim();
    // With or without the mark that has it drawn in colours.
    let text = text.trim_start_matches(['\u{26a1}', '\u{fe0f}']).trim_start();
    let text = strip_scheme(text, "lightning:").unwrap_or(text).to_ascii_lowercase();
    let text = text.strip_suffix('/').unwrap_or(&text);
    let plain = strip_scheme(text, "http://");
    let address = plain.or_else(|| strip_scheme(text, "https://")).unwrap_or(text);
    let (user, place) = address.split_once('@')?;
    // LUD-16, and `+` as in its tags.
    let fits = (1..=64).contains(&user.len())
        && user
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.+".contains(&byte))
        && !matches!(user, "." | "..");
    let (host, port) = host_and_port(place).filter(|_| fits)?;
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    match plain {
        Some(_) if is_of_this_network(&host) => Some(format!("http://{user}@{host}{port}")),
        Some(_) => None,
        None => Some(format!("{user}@{host}{port}")),
    }
}

/// Whether a Lightning address is one of Tor's.
pub(crate) fn is_onion(address: &str) -> bool {
    let host = address.rsplit('@').next().unwrap_or_default();
    host.split(':').next().is_some_and(|host| host.ends_with(".onion"))
}

/// Whether a host is one that only this network, or Tor, leads to, so that http is as safe as they are.
fn is_of_this_network(host: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let v6 = v6.parse::<std::net::Ipv6Addr>();
        return v6.is_ok_and(|v6| v6.is_loopback() || (v6.segments()[0] & 0xfe00) == 0xfc00);
    }
    if let Ok(v4) = host.parse::<std::net::Ipv4Addr>() {
        return v4.is_loopback() || v4.is_private();
    }
    !host.contains('.') || [".local", ".internal", ".onion"].iter().any(|end| host.ends_with(end))
}

/// `host:port`, `socks5://host:port` or `socks5h://host:port` → `host:port`; host names are always
/// resolved by the proxy. A user name is refused.
pub fn socks5(text: &str) -> Option<String> {
    let rest = strip_scheme(text, "socks5://").or_else(|| strip_scheme(text, "socks5h://"));
    let rest = rest.unwrap_or(text);
    match host_and_port(rest.strip_suffix('/').unwrap_or(rest))? {
        (host, Some(port)) => Some(format!("{host}:{port}")),
        (_, None) => None,
    }
}

/// Mints with commas between them: at most 16 `http://` or `https://` addresses, without a query, as written less a final `/`.
pub fn mints(text: &str) -> Option<Vec<String>> {
    let mints: Vec<&str> = text.split(',').map(str::trim).filter(|mint| !mint.is_empty()).collect();
    let fits = |mint: &&str| {
        let rest = strip_scheme(mint, "https://").or_else(|| strip_scheme(mint, "http://"));
        let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        host_and_port(host).is_some()
            && mint.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"\\@".contains(&byte))
    };
    let fit = (1..=16).contains(&mints.len()) && mints.iter().all(fits);
    fit.then(|| mints.iter().map(|mint| mint.trim_end_matches('/').to_owned()).collect())
}

/// `creqA` or `creqB`, in any case: is it the latter?
pub fn request_format(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("creqA") { Some(false) } else { is("creqB").then_some(true) }
}

/// 32 bytes in hex, as lower-case hex.
pub fn private_key(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte != b'0');
    fits.then(|| text.to_ascii_lowercase())
}

/// Words with one space between them, as many as a mnemonic has. Whether they are of its list l402d sees.
pub fn mnemonic(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let fits = matches!(words.len(), 12 | 15 | 18 | 21 | 24)
        && words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    fits.then(|| words.join(" "))
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Splits and checks; an IPv6 host comes back in brackets.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let v6 = |host: &str| host.parse::<std::net::Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(port(rest.strip_prefix(':')?)?) };
        return Some((v6(host)?, port));
    }
    if let Some(host) = v6(text) {
        return Some((host, None));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, number)) => (host, Some(port(number)?)),
        None => (text, None),
    };
    is_host(host).then(|| (host.to_owned(), port))
}

/// Whether a text is a name that can be resolved, or an IPv4 address in its one usual form. What every library on the way
/// takes alike: no label that begins or ends with a hyphen, none in other letters that can't be shown, and no number but a
/// whole address (`127.1`, `0x7f.1` and `1.2.3.256` mean different things to different libraries).
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
            && punycode::is_fine(label)
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex = last.get(..2).filter(|head| head.eq_ignore_ascii_case("0x")).map(|_| &last[2..]);
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match is_number {
        true => host.parse::<std::net::Ipv4Addr>().is_ok(),
        false => host.len() <= 253 && name.split('.').all(label),
    }
}

/// A relay of Nostr: `wss://host[:port][/path]`, or with `ws://`.
pub fn relay(text: &str) -> Option<&str> {
    let rest = ["wss://", "ws://"].iter().find_map(|scheme| text.strip_prefix(scheme))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#@".contains(&byte);
    (rest.bytes().all(fits) && host_and_port(&rest[..end]).is_some()).then_some(text)
}

fn port(text: &str) -> Option<u16> {
    number(text.as_bytes()).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
}

/// How many letters one must add, drop or change to make one word of the other.
pub fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, theirs) in other.iter().enumerate() {
            let change = diagonal + usize::from(letter != *theirs);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
