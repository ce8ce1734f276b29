//! An `l402_backend` block and the files that it names. The input is lines `key value`, then an empty line and the
//! certificate's and the macaroon's file, parted by a NUL.
#![no_main]

use std::path::Path;

// Counts loads, as all that is built for fuzzing does.
use l402_fuzz as _;
use libfuzzer_sys::fuzz_target;
use settings::{BackendConfig, named_backend};

fuzz_target!(|input: &[u8]| {
    let (block, files) = split(input, b"\n\n");
    let (certificate, macaroon) = split(files, b"\0");
    let Ok(block) = std::str::from_utf8(block) else { return };
    let pairs: Vec<(&str, &str)> =
        block.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect();
    let read = |path: &Path| Ok(if path == Path::new("m") { macaroon } else { certificate }.to_vec());

    match named_backend("main", &pairs, &read) {
        Ok(backend) => {
            let shown = format!("{backend:?}");
            match backend.config {
                BackendConfig::Lnd(lnd) => {
                    assert!(lnd.address.contains(':') && !lnd.certificate.is_empty());
                    let secret = lnd.macaroon.expose();
                    assert!(secret.starts_with(&[2]) && secret.len() >= 35);
                    assert!(!shown.contains(&format!("{secret:?}")), "{shown}");
                }
                BackendConfig::Eclair(eclair) => {
                    assert!(eclair.address.starts_with("http"));
                    assert!(!eclair.password.expose().is_empty() && shown.contains("[redacted]"));
                }
                BackendConfig::Lnurl(lnurl) => assert!(lnurl.address.contains('@')),
                _ => {}
            }
        }
        Err(complaints) => {
            assert!(!complaints.is_empty());
            for complaint in complaints {
                let line = complaint.to_string();
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
});

/// At the first separator, or all and nothing.
fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> (&'a [u8], &'a [u8]) {
    match bytes.windows(separator.len()).position(|window| window == separator) {
        Some(at) => (&bytes[..at], &bytes[at + separator.len()..]),
        None => (bytes, &[]),
    }
}
