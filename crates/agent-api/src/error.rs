//! What is wrong with bytes that should have been a frame.
use std::fmt;

/// Bytes that are no frame. The other end is at fault (or is another version); the connection must be
/// closed, since where the next frame starts is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The length field announces more than [`MAX_FRAME`](crate::MAX_FRAME) bytes.
    TooLong {
        /// The announced length in bytes.
        length: u32,
    },
    /// The body ends before its fields do, or the length can't hold the frame header.
    Truncated,
    /// Bytes are left after the last field.
    Trailing,
    /// No frame of this direction has this kind.
    UnknownKind(u8),
    /// A field's tag, length or text has no meaning.
    BadField(&'static str),
    /// The other end speaks a version that this release does not.
    Version {
        /// The version in its opening frame.
        theirs: u16,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => {
                write!(f, "a frame of {length} bytes, at most {} are allowed", crate::MAX_FRAME)
            }
            Self::Truncated => f.write_str("a frame that ends before its fields do"),
            Self::Trailing => f.write_str("a frame with bytes after its last field"),
            Self::UnknownKind(kind) => write!(f, "a frame of unknown kind {kind}"),
            Self::BadField(field) => write!(f, "a frame with an invalid {field}"),
            Self::Version { theirs } => write!(
                f,
                "the other side speaks protocol {theirs}, this one {} to {}: use the nginx module and the \
                 l402d of one release, or of two that follow each other",
                crate::OLDEST,
                crate::PROTOCOL
            ),
        }
    }
}

impl std::error::Error for FrameError {}
