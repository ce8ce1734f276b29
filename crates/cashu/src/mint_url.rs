//! One spelling of a mint's address, so that a mint that is written in two ways is one mint.

use cdk::mint_url::MintUrl;

/// Returns the address without the port that its scheme implies. cdk has taken trailing slashes off and written the scheme and the host
/// in lower case; the path is the mint's own, letter by letter.
pub(crate) fn canonical(url: &MintUrl) -> MintUrl {
    let text = url.to_string();
    let shorter = text.split_once("://").and_then(|(scheme, rest)| {
        let port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.strip_suffix(port)?;
        format!("{scheme}://{host}{path}").parse().ok()
    });
    shorter.unwrap_or_else(|| url.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_mint_has_one_address_however_it_is_written() {
        for (written, one) in [
            ("https://mint.example.com", "https://mint.example.com"),
            ("HTTPS://Mint.Example.COM/", "https://mint.example.com"),
            ("https://mint.example.com:443", "https://mint.example.com"),
            ("https://mint.example.com:443//", "https://mint.example.com"),
            ("https://mint.example.com:443/Bitcoin/", "https://mint.example.com/Bitcoin"),
            ("http://mint.example.com:80/Bitcoin", "http://mint.example.com/Bitcoin"),
            ("http://[2001:db8::1]:80", "http://[2001:db8::1]"),
            ("https://mint.example.com:8443", "https://mint.example.com:8443"),
            ("http://mint.example.com:443", "http://mint.example.com:443"),
            ("https://mint.example.com/x:443", "https://mint.example.com/x:443"),
            ("https://[2001:db8::443]", "https://[2001:db8::443]"),
        ] {
            assert_eq!(canonical(&written.parse().unwrap()).to_string(), one, "{written}");
        }
        let paths = ["https://mint.example.com/Bitcoin", "https://mint.example.com/bitcoin"];
        let [one, other] = paths.map(|path| canonical(&path.parse().unwrap()));
        assert_ne!(one, other);
    }
}
