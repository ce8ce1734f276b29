//! The payload at the end of each act: nothing in acts 1 and 3, the auth data in act 2.

use zeroize::Zeroizing;

use super::handshake::HandshakeError;
use super::pattern::{AUTH_ACT, Version};
use super::symmetric::{Symmetric, TAG_LEN};

/// Plain bytes of act 2 in version 0, the two of the length included.
const FIXED_LEN: usize = 500;

/// More auth data than this is refused: a macaroon has some hundred bytes.
pub(super) const MAX_AUTH_DATA: usize = 32 * 1024;

/// Appends the payload to an act.
pub(super) fn write(
    symmetric: &mut Symmetric,
    version: Version,
    act: usize,
    auth_data: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), HandshakeError> {
    if act != AUTH_ACT {
        out.extend(symmetric.encrypt_and_hash(&[])?);
        return Ok(());
    }
    match version {
        Version::V0 => {
            let mut plain = Zeroizing::new(vec![0; FIXED_LEN]);
            let length = u16::try_from(auth_data.len()).map_err(|_| HandshakeError::AuthDataTooLong)?;
            plain[..2].copy_from_slice(&length.to_be_bytes());
            plain[2..]
                .get_mut(..auth_data.len())
                .ok_or(HandshakeError::AuthDataTooLong)?
                .copy_from_slice(auth_data);
            out.extend(symmetric.encrypt_and_hash(&plain)?);
        }
        Version::V1 | Version::V2 => {
            let length = u32::try_from(auth_data.len()).map_err(|_| HandshakeError::AuthDataTooLong)?;
            out.extend(symmetric.encrypt_and_hash(&length.to_be_bytes())?);
            out.extend(symmetric.encrypt_and_hash(auth_data)?);
        }
    }
    Ok(())
}

/// Reads what is left of an act. Returns the auth data; empty in acts 1 and 3.
pub(super) fn read(
    symmetric: &mut Symmetric,
    version: Version,
    act: usize,
    rest: &[u8],
) -> Result<Zeroizing<Vec<u8>>, HandshakeError> {
    if act != AUTH_ACT {
        exactly(rest, TAG_LEN)?;
        return Ok(symmetric.decrypt_and_hash(rest)?);
    }
    match version {
        Version::V0 => {
            exactly(rest, FIXED_LEN + TAG_LEN)?;
            let plain = symmetric.decrypt_and_hash(rest)?;
            let length = usize::from(u16::from_be_bytes([plain[0], plain[1]]));
            let data = plain[2..].get(..length).ok_or(HandshakeError::Length)?;
            Ok(Zeroizing::new(data.to_vec()))
        }
        Version::V1 | Version::V2 => {
            let (header, body) = rest.split_at_checked(4 + TAG_LEN).ok_or(HandshakeError::Length)?;
            let length = symmetric.decrypt_and_hash(header)?;
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            let length = usize::try_from(length).map_err(|_| HandshakeError::Length)?;
            if length > MAX_AUTH_DATA {
                return Err(HandshakeError::AuthDataTooLong);
            }
            exactly(body, length + TAG_LEN)?;
            Ok(symmetric.decrypt_and_hash(body)?)
        }
    }
}

fn exactly(bytes: &[u8], length: usize) -> Result<(), HandshakeError> {
    if bytes.len() == length { Ok(()) } else { Err(HandshakeError::Length) }
}
