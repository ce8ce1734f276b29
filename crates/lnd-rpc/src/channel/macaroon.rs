//! The macaroon on each call: metadata `macaroon`, lower-case hex, as LND expects it. Never shown.

use std::fmt;

use data_encoding::HEXLOWER;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use zeroize::Zeroizing;

/// Puts the macaroon on each call.
#[derive(Clone)]
pub struct MacaroonInterceptor(MetadataValue<Ascii>);

impl MacaroonInterceptor {
    /// From the bytes of a macaroon file; one that holds hex text is understood too. `None` if it is empty.
    pub fn new(file: &[u8]) -> Option<MacaroonInterceptor> {
        let text = file.trim_ascii();
        if text.is_empty() {
            return None;
        }
        // A binary macaroon starts with its version, 0x02, or a packet length that ends in a space: never all hex.
        let hex = if text.iter().all(u8::is_ascii_hexdigit) {
            Zeroizing::new(String::from_utf8_lossy(text).to_ascii_lowercase())
        } else {
            Zeroizing::new(HEXLOWER.encode(file))
        };
        let mut value = MetadataValue::try_from(hex.as_str()).ok()?;
        // Sensitive values are neither shown by Debug nor kept in HPACK's table.
        value.set_sensitive(true);
        Some(MacaroonInterceptor(value))
    }
}

impl Interceptor for MacaroonInterceptor {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        request.metadata_mut().insert("macaroon", self.0.clone());
        Ok(request)
    }
}

/// Shows nothing of it.
impl fmt::Debug for MacaroonInterceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacaroonInterceptor(redacted)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sent(file: &[u8]) -> String {
        let request = MacaroonInterceptor::new(file).unwrap().call(tonic::Request::new(())).unwrap();
        request.metadata().get("macaroon").unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn binary_and_hex_files_send_the_same() {
        assert_eq!(sent(&[0x02, 0x01, 0x03, 0xab]), "020103ab");
        assert_eq!(sent(b"020103AB\n"), "020103ab");
    }

    #[test]
    fn an_empty_file_is_none() {
        assert!(MacaroonInterceptor::new(b" \n").is_none());
    }

    #[test]
    fn debug_shows_nothing() {
        let mut macaroon = MacaroonInterceptor::new(&[0x02, 0x01, 0x03, 0xab]).unwrap();
        assert!(!format!("{macaroon:?}").contains("020103ab"));
        let request = macaroon.call(tonic::Request::new(())).unwrap();
        assert!(!format!("{request:?}").contains("020103ab"));
    }
}
