//! What the node sends along with its act: header lines that go, as metadata, on every call.

use std::fmt;

use zeroize::Zeroizing;

/// Header lines, as HTTP/1.1 writes them. A secret: they hold the session's macaroon.
#[derive(Clone)]
pub struct AuthData(Zeroizing<Vec<u8>>);

impl AuthData {
    /// Takes the bytes of the handshake.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> AuthData {
        AuthData(bytes)
    }

    /// Names, in lower case as HTTP/2 wants them, and values. Lines that are no header are passed over. Secrets.
    pub fn expose_metadata(&self) -> impl Iterator<Item = (String, &str)> {
        let text = std::str::from_utf8(&self.0).unwrap_or_default();
        text.split("\r\n").filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value))
        })
    }

    /// The macaroon, hex. A secret.
    pub fn expose_macaroon(&self) -> Option<&str> {
        self.expose_metadata().find(|(name, _)| name == "macaroon").map(|(_, value)| value)
    }
}

/// Shows nothing of it.
impl fmt::Debug for AuthData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthData(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> AuthData {
        AuthData::new(Zeroizing::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn the_macaroon_among_other_lines() {
        assert_eq!(data("Macaroon: 0201ab").expose_macaroon(), Some("0201ab"));
        assert_eq!(data("Via: x\r\nnonsense\r\nmacaroon: 02\r\n").expose_macaroon(), Some("02"));
        for text in ["", "Macaroon", "Macaroon:0201", "\u{0}"] {
            assert_eq!(data(text).expose_macaroon(), None, "{text}");
        }
        assert_eq!(AuthData::new(Zeroizing::new(vec![0xff])).expose_macaroon(), None);
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", data("Macaroon: 0201ab")), "AuthData(redacted)");
    }
}
