//! Reading and writing the fields of a frame, within its bounds.
use crate::{FrameError, LENGTH_BYTES, MAX_FRAME};

/// `u8 kind ‖ u64 id`.
const HEADER_BYTES: usize = 9;

/// Appends one frame: its header, what `body` writes, and then the length.
pub(crate) fn frame(out: &mut Vec<u8>, kind: u8, id: u64, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    out.push(kind);
    out.extend_from_slice(&id.to_le_bytes());
    body(out);
    let length = out.len() - start - LENGTH_BYTES;
    debug_assert!(length <= MAX_FRAME, "every field is bounded, so every frame is");
    out[start..start + LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
}

/// Appends a string, cut at a character to `max` bytes (`max` < 65 536).
pub(crate) fn put_str(out: &mut Vec<u8>, text: &str, max: usize) {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends `0`, or `1` and the number.
pub(crate) fn put_option_u32(out: &mut Vec<u8>, value: Option<u32>) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(1);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// One complete frame's header and a reader over its body; its whole length in bytes.
pub(crate) struct Opened<'a> {
    pub(crate) kind: u8,
    pub(crate) id: u64,
    pub(crate) body: Reader<'a>,
    pub(crate) consumed: usize,
}

/// Opens the frame that `buf` starts with; `None` while bytes are missing.
pub(crate) fn open(buf: &[u8]) -> Result<Option<Opened<'_>>, FrameError> {
    let Some((length, rest)) = buf.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length);
    let bytes = length as usize;
    if bytes > MAX_FRAME {
        return Err(FrameError::TooLong { length });
    }
    if bytes < HEADER_BYTES {
        return Err(FrameError::Truncated);
    }
    let Some(content) = rest.get(..bytes) else { return Ok(None) };
    let mut body = Reader(content);
    Ok(Some(Opened { kind: body.u8()?, id: body.u64()?, body, consumed: LENGTH_BYTES + bytes }))
}

/// Takes fields off the front of a body; every read is bounded by what is left.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(FrameError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FrameError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FrameError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FrameError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A string of at most `max` bytes; `field` names it in the error.
    pub(crate) fn string(&mut self, field: &'static str, max: usize) -> Result<String, FrameError> {
        let length = usize::from(self.u16()?);
        if length > max {
            return Err(FrameError::BadField(field));
        }
        let (head, rest) = self.0.split_at_checked(length).ok_or(FrameError::Truncated)?;
        self.0 = rest;
        let text: &'a str = std::str::from_utf8(head).map_err(|_| FrameError::BadField(field))?;
        Ok(text.to_owned())
    }

    pub(crate) fn option_u32(&mut self, field: &'static str) -> Result<Option<u32>, FrameError> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.u32().map(Some),
            _ => Err(FrameError::BadField(field)),
        }
    }

    /// The version that opens `Hello` and `Welcome`; one that this release does not speak ends the decoding.
    pub(crate) fn version(&mut self) -> Result<u16, FrameError> {
        match self.u16()? {
            version if crate::speaks(version) => Ok(version),
            theirs => Err(FrameError::Version { theirs }),
        }
    }

    /// Refuses bytes after the last field.
    pub(crate) fn end(self) -> Result<(), FrameError> {
        if self.0.is_empty() { Ok(()) } else { Err(FrameError::Trailing) }
    }
}
