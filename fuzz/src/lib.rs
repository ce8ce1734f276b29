//! What several fuzz targets use: checks on texts that leave the process, and the frames' common property.
#![deny(unsafe_code)]

pub mod caveats;
// The names of its functions are not its own.
#[allow(unsafe_code)]
pub mod loads;

use agent_api::{FrameError, LENGTH_BYTES, MAX_FRAME};

/// Fit for a header, a log line and a JSON string of ours: printable ASCII, nothing to escape.
pub fn assert_plain(text: &str) {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    assert!(plain && !text.contains(['"', '\\']), "{text:?}");
}

/// Fit for a header's value.
pub fn assert_header(text: &str) {
    assert!(!text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
}

/// Undoes [`l402::caveat::encode_value`]; `None` if it could not have written this.
pub fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = rest.split_first_chunk::<2>()?;
            out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            out.push(*first);
        }
    }
    (l402::caveat::encode_value(&out) == text).then_some(out)
}

/// The properties of a decoder of frames: bounded, blind to what follows a frame, and the encoder's inverse.
pub fn check_frames<F: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<Option<(F, usize)>, FrameError>,
    encode: impl Fn(&F, &mut Vec<u8>),
) {
    let mut rest = bytes;
    loop {
        match decode(rest) {
            Err(error) => return assert!(!error.to_string().is_empty()),
            Ok(None) => return assert!(rest.len() < LENGTH_BYTES + MAX_FRAME, "waits for more than a frame"),
            Ok(Some((frame, used))) => {
                assert!((LENGTH_BYTES + 9..=LENGTH_BYTES + MAX_FRAME).contains(&used) && used <= rest.len());
                for missing in [1, used / 2, used] {
                    assert_eq!(decode(&rest[..used - missing]), Ok(None), "a frame cut short is not a frame");
                }
                let mut written = Vec::new();
                encode(&frame, &mut written);
                assert_eq!(written.len(), used);
                // All but the id: an opening frame's is not looked at.
                assert_eq!((&written[..5], &written[13..]), (&rest[..5], &rest[13..used]));
                assert_eq!(decode(&written), Ok(Some((frame, used))));
                rest = &rest[used..];
            }
        }
    }
}
