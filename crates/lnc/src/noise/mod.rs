//! The handshakes, `Noise_XXeke+SPAKE2_secp256k1_ChaChaPoly_SHA256` to pair and `Noise_KK_secp256k1_ChaChaPoly_SHA256`
//! ever after: bytes in, bytes out (The Noise Protocol Framework, revision 34; the differences are said where they are).

mod handshake;
mod pattern;
mod payload;
mod spake2;
pub(crate) mod symmetric;

pub use handshake::{Established, Handshake, HandshakeError, Setup, Turn};
pub use pattern::Version;
pub use spake2::Mask;
