//! `Cache-Control` and `Vary` of answers: a paid one is the payer's own, and a challenge is nobody else's.

/// The request headers that decide who is served. A cache that stores an answer must tell them apart (RFC 9110, 12.5.5).
pub const VARY: &str = "Authorization, Macaroon, Grpc-Metadata-Macaroon, X-Cashu, Cookie, Accept";

/// The `Cache-Control` of an answer that no cache may keep.
pub const NO_STORE: &str = "no-store";

/// The `Cache-Control` of what was paid for: `private`, and what the upstream and the operator said but that which lets a shared
/// cache keep it (RFC 9111, 5.2.2). `values` are all values that the answer has.
pub fn private<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut out = b"private".to_vec();
    for value in values {
        for directive in directives(value).filter(|directive| !is_for_shared_caches(directive)) {
            out.extend_from_slice(b", ");
            out.extend_from_slice(directive);
        }
    }
    // A header's value need not be UTF-8; one that isn't says nothing that a cache understands.
    String::from_utf8(out).unwrap_or_else(|_| NO_STORE.to_owned())
}

/// Is a response header of this name for shared caches alone? `CDN-Cache-Control` and its like (RFC 9213) and
/// `Surrogate-Control` win over `Cache-Control` there, and so does `X-Accel-Expires` in nginx.
pub fn is_of_shared_caches(header: &[u8]) -> bool {
    const TARGETED: &[u8] = b"cdn-cache-control";
    let ends = header.len().checked_sub(TARGETED.len()).and_then(|start| header.get(start..));
    let is_targeted = ends.is_some_and(|end| end.eq_ignore_ascii_case(TARGETED));
    is_targeted
        || header.eq_ignore_ascii_case(b"surrogate-control")
        || header.eq_ignore_ascii_case(b"x-accel-expires")
}

/// Does it let a shared cache keep the answer, or limit `private` to some headers?
fn is_for_shared_caches(directive: &[u8]) -> bool {
    let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
    [&b"public"[..], b"s-maxage", b"private"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The directives of a value: what stands between commas outside quotes.
fn directives(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut in_quotes = false;
    let mut is_escaped = false;
    let pieces = value.split(move |byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !was_escaped => in_quotes = !in_quotes,
            b'\\' if in_quotes && !was_escaped => is_escaped = true,
            _ => {}
        }
        *byte == b',' && !in_quotes
    });
    pieces.map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keeps_what_private_caches_may_know() {
        for (values, expected) in [
            (&[][..], "private"),
            (&["max-age=60"], "private, max-age=60"),
            (&["public, max-age=60, s-maxage=600"], "private, max-age=60"),
            (&["PUBLIC", "S-MaxAge=1,immutable"], "private, immutable"),
            (&["private=\"set-cookie, x\", no-cache=\"a, public\""], "private, no-cache=\"a, public\""),
            (&["private", "no-store"], "private, no-store"),
            (&["  ,, max-age=1 ,"], "private, max-age=1"),
            (&["x=\"a\\\", public\", public"], "private, x=\"a\\\", public\""),
            (&["x=\"never closed, public"], "private, x=\"never closed, public"),
            (&["s-maxage = 5"], "private"),
            (&["public-ish"], "private, public-ish"),
        ] {
            assert_eq!(private(values.iter().map(|value| value.as_bytes())), expected, "{values:?}");
        }
        assert_eq!(private([&b"max-age=1, \xff"[..]]), "no-store");
    }

    #[test]
    fn headers_that_only_shared_caches_read() {
        for header in
            ["CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "surrogate-control", "X-Accel-Expires"]
        {
            assert!(is_of_shared_caches(header.as_bytes()), "{header}");
        }
        for header in ["Cache-Control", "CDN-Cache-Control-X", "Expires", ""] {
            assert!(!is_of_shared_caches(header.as_bytes()), "{header}");
        }
    }
}
