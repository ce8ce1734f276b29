//! `MsgData`: the frame around each act and each part of a message, within go-back-N's packets.

/// The only version there is.
const VERSION: u8 = 0;

/// Bytes before the content.
pub const HEADER_LEN: usize = 5;

/// `00`, the length (big-endian, four bytes), the content.
pub fn encode(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(HEADER_LEN + content.len());
    frame.push(VERSION);
    frame.extend(length.to_be_bytes());
    frame.extend(content);
    frame
}

/// The content of a frame, which is all of `frame`.
///
/// # Errors
/// Another version, or another length than there is.
pub fn decode(frame: &[u8]) -> Result<&[u8], MsgDataError> {
    let (header, content) = frame.split_at_checked(HEADER_LEN).ok_or(MsgDataError)?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    if header[0] != VERSION || usize::try_from(length) != Ok(content.len()) {
        return Err(MsgDataError);
    }
    Ok(content)
}

/// Not a frame of version 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a MsgData frame of version 0")]
pub struct MsgDataError;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(encode(b"abc"), [0, 0, 0, 0, 3, b'a', b'b', b'c']);
        assert_eq!(decode(&encode(b"abc")).unwrap(), b"abc");
        assert_eq!(decode(&encode(b"")).unwrap(), b"");
    }

    #[test]
    fn what_is_no_frame() {
        for frame in [&b""[..], &[0, 0, 0, 0], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 1], &[0, 0, 0, 0, 0, 9]] {
            assert_eq!(decode(frame), Err(MsgDataError), "{frame:?}");
        }
    }
}
