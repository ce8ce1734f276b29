//! The V2 binary form of a macaroon, as libmacaroons' doc/format.txt and gopkg.in/macaroon.v2 have it.
//!
//! ```text
//! 0x02  location? identifier EOS  ( location? identifier verification-id? EOS )*  EOS  signature
//! field = type(varint) length(varint) bytes          EOS = 0x00
//! ```
//! Reading is strict: fields in order, each once, shortest varints, nothing behind the signature.

use crate::macaroon::{Caveat, MAX_BYTES, MAX_CAVEATS, Macaroon, MacaroonError};
use crate::work;

const VERSION: u8 = 2;
const EOS: u8 = 0;
const LOCATION: u8 = 1;
const IDENTIFIER: u8 = 2;
const VERIFICATION_ID: u8 = 4;
const SIGNATURE: u8 = 6;

/// Room for what stands around the bytes of a section: types, lengths, ends.
const AROUND: usize = 10;

/// Writes the binary form.
pub(crate) fn encode(macaroon: &Macaroon) -> Vec<u8> {
    let room = |caveat: &Caveat| match caveat {
        Caveat::FirstParty(id) => AROUND + id.len(),
        Caveat::ThirdParty { location, id, verification_id } => {
            AROUND + location.len() + id.len() + verification_id.len()
        }
    };
    let header = AROUND + macaroon.location.len() + macaroon.identifier.len() + macaroon.signature.len();
    let mut out = Vec::with_capacity(header + macaroon.caveats.iter().map(room).sum::<usize>());
    out.push(VERSION);
    if !macaroon.location.is_empty() {
        put(&mut out, LOCATION, macaroon.location.as_bytes());
    }
    put(&mut out, IDENTIFIER, &macaroon.identifier);
    out.push(EOS);
    for caveat in &macaroon.caveats {
        match caveat {
            Caveat::FirstParty(id) => put(&mut out, IDENTIFIER, id),
            Caveat::ThirdParty { location, id, verification_id } => {
                if !location.is_empty() {
                    put(&mut out, LOCATION, location.as_bytes());
                }
                put(&mut out, IDENTIFIER, id);
                put(&mut out, VERIFICATION_ID, verification_id);
            }
        }
        out.push(EOS);
    }
    out.push(EOS);
    put(&mut out, SIGNATURE, &macaroon.signature);
    out
}

/// Reads the binary form.
pub(crate) fn decode(bytes: &[u8]) -> Result<Macaroon, MacaroonError> {
    if bytes.len() > MAX_BYTES {
        return Err(MacaroonError::TooLong);
    }
    work::spend(bytes.len());
    let mut input = Reader(bytes);
    if input.byte()? != VERSION {
        return Err(MacaroonError::Version);
    }
    let header = input.section()?;
    let (location, Some(identifier), None) = header else { return Err(MacaroonError::Malformed) };
    let location = utf8(location)?;
    let mut caveats = Vec::new();
    loop {
        match input.section()? {
            (None, None, None) => break,
            _ if caveats.len() == MAX_CAVEATS => return Err(MacaroonError::TooManyCaveats),
            (None | Some([]), Some(id), None) => caveats.push(Caveat::FirstParty(id.to_vec())),
            (location, Some(id), Some(verification_id)) if !verification_id.is_empty() => {
                caveats.push(Caveat::ThirdParty {
                    location: utf8(location)?,
                    id: id.to_vec(),
                    verification_id: verification_id.to_vec(),
                });
            }
            _ => return Err(MacaroonError::Malformed),
        }
    }
    let signature = match input.field()? {
        Some((SIGNATURE, bytes)) => bytes.try_into().map_err(|_| MacaroonError::Malformed)?,
        _ => return Err(MacaroonError::Malformed),
    };
    if !input.0.is_empty() {
        return Err(MacaroonError::TrailingBytes);
    }
    Ok(Macaroon { location, identifier: identifier.to_vec(), caveats, signature })
}

fn put(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

fn utf8(bytes: Option<&[u8]>) -> Result<String, MacaroonError> {
    String::from_utf8(bytes.unwrap_or_default().to_vec()).map_err(|_| MacaroonError::Malformed)
}

/// Location, identifier and verification id of one section.
type Section<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Option<&'a [u8]>);

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, MacaroonError> {
        let (first, rest) = self.0.split_first().ok_or(MacaroonError::Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    /// A length: at most two bytes, since nothing here is longer than 4 KiB, and in its shortest form.
    fn length(&mut self) -> Result<usize, MacaroonError> {
        let low = self.byte()?;
        if low < 0x80 {
            return Ok(usize::from(low));
        }
        match self.byte()? {
            high @ 1..0x80 => Ok(usize::from(high) << 7 | usize::from(low & 0x7f)),
            _ => Err(MacaroonError::Malformed),
        }
    }

    /// The next field; `None` is the end of a section.
    fn field(&mut self) -> Result<Option<(u8, &'a [u8])>, MacaroonError> {
        let kind = self.byte()?;
        if kind == EOS {
            return Ok(None);
        }
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(MacaroonError::Malformed)?;
        self.0 = rest;
        Ok(Some((kind, bytes)))
    }

    /// Fields up to the end of the section, each at most once and in ascending order.
    fn section(&mut self) -> Result<Section<'a>, MacaroonError> {
        let mut section = (None, None, None);
        let mut last = EOS;
        while let Some((kind, bytes)) = self.field()? {
            if kind <= last {
                return Err(MacaroonError::Malformed);
            }
            last = kind;
            match kind {
                LOCATION => section.0 = Some(bytes),
                IDENTIFIER => section.1 = Some(bytes),
                VERIFICATION_ID => section.2 = Some(bytes),
                _ => return Err(MacaroonError::Malformed),
            }
        }
        Ok(section)
    }
}
