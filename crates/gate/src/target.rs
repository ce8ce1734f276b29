//! Request targets that an upstream may take for another path than nginx does.
//!
//! nginx picks the location, and so the price, by the normalised path, but `proxy_pass` without a path forwards the target
//! as it came. Where both may differ the request is refused, whatever its location: an upstream resolves dot segments
//! (RFC 3986, 5.2.4), takes `\` for `/` (WHATWG URL), or cuts `;` parameters off a segment before it resolves it.
//! Other parameters, letter case and a second decoding are the upstream's own.

/// Does a raw target name a dot segment after one percent-decoding, a segment that begins with `.;` or `..;`, or hold a
/// backslash or a raw `#`? `target` is what follows the authority: the path, and the query if there is one.
pub fn is_ambiguous(target: &[u8]) -> bool {
    if target.contains(&b'#') {
        return true;
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let mut segment = Segment::default();
    let mut rest = path;
    while let Some((byte, tail)) = next_byte(rest) {
        rest = tail;
        match byte {
            b'\\' => return true,
            b'/' if segment.is_ambiguous() => return true,
            b'/' => segment = Segment::default(),
            byte => segment.push(byte),
        }
    }
    segment.is_ambiguous()
}

/// How many of a raw target's leading slashes are too many. To nginx they are one, while an upstream may take what follows
/// two of them for a host (RFC 3986, 4.2).
pub fn surplus_slashes(target: &[u8]) -> usize {
    target.iter().take_while(|byte| **byte == b'/').count().saturating_sub(1)
}

/// The first byte after one percent-decoding, and what follows it.
fn next_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    match text {
        [b'%', high, low, rest @ ..] => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, rest)),
            _ => Some((b'%', &text[1..])),
        },
        [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

/// The beginning of one segment: all that decides.
#[derive(Default)]
struct Segment {
    start: [u8; 3],
    length: usize,
}

impl Segment {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.start.get_mut(self.length) {
            *slot = byte;
        }
        self.length += 1;
    }

    fn is_ambiguous(&self) -> bool {
        matches!(
            (self.start, self.length),
            ([b'.', ..], 1) | ([b'.', b'.' | b';', _], 2) | ([b'.', b';', _] | [b'.', b'.', b';'], 3..)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_that_may_be_read_in_two_ways() {
        for target in [
            "/dear/../cheap/x",
            "/cheap/./x",
            "/cheap/%2e%2E/dear",
            "/cheap/.%2e/dear",
            "/cheap%2f..%2fdear",
            "/cheap/..%2Fdear",
            "/cheap%2F..",
            "/cheap/..",
            "/cheap/.",
            "/.",
            "/..",
            "..",
            "/cheap/..;/dear",
            "/cheap/..;a=b/dear",
            "/cheap/.;/dear",
            "/cheap/.;",
            "/cheap/%2e%2e%3b/dear",
            "/cheap/..\\dear",
            "/cheap\\..\\dear",
            "/cheap%5cdear",
            "\\",
            "/a#b",
            "/a?b#c",
            "#",
        ] {
            assert!(is_ambiguous(target.as_bytes()), "{target}");
        }
    }

    #[test]
    fn targets_that_mean_one_thing() {
        for target in [
            "",
            "/",
            "*",
            "/a.b/c..d/...",
            "/.well-known/x",
            "/..a/.a/a./a..",
            "/...;/x",
            "/a;b=c/d;..",
            "/@scope%2fname",
            "/caf%C3%A9/a%20b",
            "/a?x=../..&y=%2e%2e/\\",
            "?x=..",
            "/a%252e%252e/b",
            "/a%zz/%2",
            "//a//b",
            "/a%23b",
            "/%3f/..a",
        ] {
            assert!(!is_ambiguous(target.as_bytes()), "{target}");
        }
    }

    #[test]
    fn leading_slashes_beyond_the_first_are_surplus() {
        for (target, surplus) in [("/a", 0), ("//a", 1), ("///", 2), ("?//", 0), ("", 0), ("/a//", 0)] {
            assert_eq!(surplus_slashes(target.as_bytes()), surplus, "{target}");
        }
    }
}
