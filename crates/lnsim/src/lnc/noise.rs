//! The node's side of both handshakes, and the messages after them, over libsecp256k1.

use bitcoin::secp256k1::{PublicKey, Scalar, Secp256k1, SecretKey, ecdh::SharedSecret};
use chacha20poly1305::aead::{Aead, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256, Sha512};

/// SPAKE2's point.
const N: [u8; 33] = [
    2, 84, 165, 140, 208, 243, 28, 0, 143, 208, 188, 155, 45, 213, 186, 88, 97, 68, 147, 56, 41, 246, 218,
    51, 172, 65, 48, 181, 85, 251, 94, 163, 44,
];

/// Something of the client's is wrong. What, is nobody's business.
#[derive(Debug)]
pub(super) struct Wrong;

/// The name of a session: of its phrase, or of both keys.
pub(super) fn session_name(shared: &[u8]) -> [u8; 64] {
    Sha512::digest(shared).into()
}

/// What both sides of a pairing derive their name from.
pub(super) fn paired_secret(local: &SecretKey, remote: &PublicKey) -> [u8; 32] {
    hmac(&SharedSecret::new(remote, local).secret_bytes(), &[b"mailbox"])
}

/// N·pw, negated: what takes the mask off. Takes scrypt's time.
pub(super) fn unmask_with(entropy: &[u8; 14]) -> Result<PublicKey, Wrong> {
    let mut pw = [0; 32];
    let params = scrypt::Params::new(16, 8, 1).map_err(|_| Wrong)?;
    scrypt::scrypt(entropy, entropy, &params, &mut pw).map_err(|_| Wrong)?;
    let secp = Secp256k1::new();
    let n = PublicKey::from_slice(&N).map_err(|_| Wrong)?;
    let masked = n.mul_tweak(&secp, &Scalar::from_be_bytes(pw).map_err(|_| Wrong)?);
    Ok(masked.map_err(|_| Wrong)?.negate(&secp))
}

/// What a handshake has derived so far.
struct Noise {
    h: [u8; 32],
    ck: [u8; 32],
    k: [u8; 32],
    n: u64,
}

impl Noise {
    fn new(name: &str) -> Self {
        let h: [u8; 32] = Sha256::digest(name).into();
        let mut noise = Self { h, ck: h, k: [0; 32], n: 0 };
        noise.hash(b"lightning-node-connect");
        noise
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.h = Sha256::digest([&self.h, bytes].concat()).into();
    }

    fn mix(&mut self, public: &PublicKey, secret: &SecretKey) {
        let shared = SharedSecret::new(public, secret).secret_bytes();
        (self.ck, self.k) = hkdf(&self.ck, &shared);
        self.n = 0;
    }

    fn seal(&mut self, text: &[u8]) -> Result<Vec<u8>, Wrong> {
        let sealed = aead(&self.k).encrypt(&nonce(self.n), Payload { msg: text, aad: &self.h });
        let sealed = sealed.map_err(|_| Wrong)?;
        self.n += 1;
        self.hash(&sealed);
        Ok(sealed)
    }

    fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, Wrong> {
        let text = aead(&self.k).decrypt(&nonce(self.n), Payload { msg: sealed, aad: &self.h });
        let text = text.map_err(|_| Wrong)?;
        self.n += 1;
        self.hash(sealed);
        Ok(text)
    }

    /// Act 2's payload and what follows the tokens.
    fn auth(&mut self, version: u8, auth: &[u8]) -> Result<Vec<u8>, Wrong> {
        if version == 0 {
            let mut fixed = vec![0; 500];
            fixed[..2].copy_from_slice(&u16::try_from(auth.len()).map_err(|_| Wrong)?.to_be_bytes());
            fixed.get_mut(2..2 + auth.len()).ok_or(Wrong)?.copy_from_slice(auth);
            return self.seal(&fixed);
        }
        let length = u32::try_from(auth.len()).map_err(|_| Wrong)?.to_be_bytes();
        Ok([self.seal(&length)?, self.seal(auth)?].concat())
    }

    fn ciphers(&self) -> Ciphers {
        let (from_client, to_client) = hkdf(&self.ck, &[]);
        Ciphers { incoming: Cipher::new(from_client, self.ck), outgoing: Cipher::new(to_client, self.ck) }
    }
}

/// A pairing, after act 1: what act 3 needs.
pub(super) struct Pairing {
    noise: Noise,
    version: u8,
    ephemeral: SecretKey,
}

/// Takes act 1 of a pairing and makes act 2.
pub(super) fn pair(
    act: &[u8],
    unmask: &PublicKey,
    local: &SecretKey,
    ephemeral: SecretKey,
    version: u8,
    auth: &[u8],
) -> Result<(Pairing, Vec<u8>), Wrong> {
    let secp = Secp256k1::new();
    if act.len() != 50 || act[0] > 2 {
        return Err(Wrong);
    }
    let mut noise = Noise::new("Noise_XXeke+SPAKE2_secp256k1_ChaChaPoly_SHA256");
    let masked = PublicKey::from_slice(&act[1..34]).map_err(|_| Wrong)?;
    let theirs = masked.combine(unmask).map_err(|_| Wrong)?;
    noise.hash(&theirs.serialize());
    noise.open(&act[34..])?;

    let ours = ephemeral.public_key(&secp).serialize();
    let mut answer = vec![version];
    noise.hash(&ours);
    answer.extend(ours);
    noise.mix(&theirs, &ephemeral);
    answer.extend(noise.seal(&local.public_key(&secp).serialize())?);
    noise.mix(&theirs, local);
    answer.extend(noise.auth(version, auth)?);
    Ok((Pairing { noise, version, ephemeral }, answer))
}

impl Pairing {
    /// Takes act 3; gives the client's key.
    pub(super) fn finish(mut self, act: &[u8]) -> Result<(PublicKey, Ciphers), Wrong> {
        if act.len() != 66 || act[0] != self.version {
            return Err(Wrong);
        }
        let key = self.noise.open(&act[1..50])?;
        let key = PublicKey::from_slice(&key).map_err(|_| Wrong)?;
        self.noise.mix(&key, &self.ephemeral);
        self.noise.open(&act[50..])?;
        Ok((key, self.noise.ciphers()))
    }
}

/// Takes act 1 of a client that is known and makes act 2.
pub(super) fn resume(
    act: &[u8],
    client: &PublicKey,
    local: &SecretKey,
    ephemeral: SecretKey,
    auth: &[u8],
) -> Result<(Ciphers, Vec<u8>), Wrong> {
    let secp = Secp256k1::new();
    if act.len() != 50 || act[0] != 2 {
        return Err(Wrong);
    }
    let mut noise = Noise::new("Noise_KK_secp256k1_ChaChaPoly_SHA256");
    noise.hash(&client.serialize());
    noise.hash(&local.public_key(&secp).serialize());
    let theirs = PublicKey::from_slice(&act[1..34]).map_err(|_| Wrong)?;
    noise.hash(&act[1..34]);
    noise.mix(&theirs, local);
    noise.mix(client, local);
    noise.open(&act[34..])?;

    let ours = ephemeral.public_key(&secp).serialize();
    noise.hash(&ours);
    noise.mix(&theirs, &ephemeral);
    noise.mix(client, &ephemeral);
    let payload = noise.auth(2, auth)?;
    Ok((noise.ciphers(), [&[2], ours.as_slice(), &payload].concat()))
}

/// Both directions.
pub(super) struct Ciphers {
    pub(super) incoming: Cipher,
    pub(super) outgoing: Cipher,
}

/// One direction.
pub(super) struct Cipher {
    key: [u8; 32],
    salt: [u8; 32],
    count: u64,
}

impl Cipher {
    fn new(key: [u8; 32], salt: [u8; 32]) -> Self {
        Self { key, salt, count: 0 }
    }

    pub(super) fn seal(&mut self, text: &[u8]) -> Result<Vec<u8>, Wrong> {
        let sealed = aead(&self.key).encrypt(&nonce(self.count), text).map_err(|_| Wrong)?;
        self.next();
        Ok(sealed)
    }

    pub(super) fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, Wrong> {
        let text = aead(&self.key).decrypt(&nonce(self.count), sealed).map_err(|_| Wrong)?;
        self.next();
        Ok(text)
    }

    fn next(&mut self) {
        self.count += 1;
        if self.count == 1000 {
            (self.salt, self.key) = hkdf(&self.salt, &self.key);
            self.count = 0;
        }
    }
}

fn aead(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.into())
}

fn nonce(count: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&count.to_le_bytes());
    bytes.into()
}

/// Two keys of RFC 5869's HKDF, without info.
fn hkdf(salt: &[u8; 32], input: &[u8]) -> ([u8; 32], [u8; 32]) {
    let prk = hmac(salt, &[input]);
    let first = hmac(&prk, &[&[1]]);
    let second = hmac(&prk, &[&first, &[2]]);
    (first, second)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // A key of any length is one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}
