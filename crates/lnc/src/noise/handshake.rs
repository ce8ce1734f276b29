//! A handshake as a state: whose turn it is, one act in or out at a time.

use zeroize::Zeroizing;

use super::pattern::{AUTH_ACT, KK, Pattern, Token, Version, XX};
use super::symmetric::{AeadFailed, Symmetric, TAG_LEN};
use super::{Mask, payload};
use crate::cipher::{Opener, Sealer};
use crate::{PUBLIC_KEY_LEN, PublicKey, SecretKey};

/// What one side brings to a handshake. Nothing here is random or read from anywhere: the ephemeral key is the caller's
/// to make, fresh for each handshake.
#[derive(Debug)]
pub struct Setup {
    /// The key that the other side will know us by.
    pub local: SecretKey,
    /// A new key for this handshake alone.
    pub ephemeral: SecretKey,
}

/// A handshake under way, of either side.
#[derive(Debug)]
pub struct Handshake(State);

#[derive(Debug)]
enum State {
    /// The next act is ours to write.
    Writing(Box<Progress>),
    /// The next act is the other side's.
    Reading(Box<Progress>),
    /// All acts are done.
    Over(Box<Progress>),
    /// An act was wrong; nothing more can come of it.
    Failed,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Ours: [`Handshake::write`].
    Write,
    /// The other side's: [`Handshake::read`].
    Read,
    /// All acts are done: [`Handshake::finish`].
    Over,
    /// An act was wrong: a new handshake is needed.
    Failed,
}

struct Progress {
    symmetric: Symmetric,
    pattern: &'static Pattern,
    initiator: bool,
    version: Version,
    /// Acts done.
    act: usize,
    mask: Option<Mask>,
    local: SecretKey,
    ephemeral: SecretKey,
    remote: Option<PublicKey>,
    remote_ephemeral: Option<PublicKey>,
    /// Sent in act 2 by the responder, received by the initiator.
    auth_data: Zeroizing<Vec<u8>>,
}

/// What a handshake is made for: ciphers for both directions, and what was learned of the other side.
pub struct Established {
    /// Encrypts what we send.
    pub sealer: Sealer,
    /// Decrypts what we receive.
    pub opener: Opener,
    /// The other side's static key.
    pub remote: PublicKey,
    /// What both sides agreed on.
    pub version: Version,
    /// What the responder sent along, as HTTP header lines. A secret: it holds the macaroon. The responder's own is
    /// given back to it.
    pub auth_data: Zeroizing<Vec<u8>>,
}

/// Shows the version only.
impl std::fmt::Debug for Established {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Established").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Shows nothing secret.
impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("protocol", &self.pattern.protocol)
            .field("version", &self.version)
            .field("act", &self.act)
            .finish_non_exhaustive()
    }
}

impl Handshake {
    /// The client's side of a first pairing. It says the oldest version and adopts what the node answers with.
    pub fn pair(setup: Setup, mask: &Mask) -> Handshake {
        Handshake(State::Writing(Progress::new(&XX, setup, Version::V0, Some(mask.clone()), None)))
    }

    /// The client's side of every later handshake, with the node's key from the first one.
    pub fn resume(setup: Setup, remote: PublicKey) -> Handshake {
        Handshake(State::Writing(Progress::new(&KK, setup, Version::V2, None, Some(remote))))
    }

    /// The node's side of a first pairing, at `version`.
    pub fn accept_pairing(setup: Setup, mask: &Mask, version: Version, auth_data: &[u8]) -> Handshake {
        let progress = Progress::new(&XX, setup, version, Some(mask.clone()), None);
        Handshake(State::Reading(progress.responder(auth_data)))
    }

    /// The node's side of every later handshake, with the client's key from the first one.
    pub fn accept_resumed(setup: Setup, remote: PublicKey, auth_data: &[u8]) -> Handshake {
        let progress = Progress::new(&KK, setup, Version::V2, None, Some(remote));
        Handshake(State::Reading(progress.responder(auth_data)))
    }

    /// Whose turn it is.
    pub fn turn(&self) -> Turn {
        match &self.0 {
            State::Writing(_) => Turn::Write,
            State::Reading(_) => Turn::Read,
            State::Over(_) => Turn::Over,
            State::Failed => Turn::Failed,
        }
    }

    /// The other side's static key, once an act has told it. Whoever has to remember it should do so before the last
    /// act is written: the other side forgets the first name of the session with that act.
    pub fn remote(&self) -> Option<PublicKey> {
        match &self.0 {
            State::Writing(progress) | State::Reading(progress) | State::Over(progress) => progress.remote,
            State::Failed => None,
        }
    }

    /// The version, which is agreed on once act 2 is through.
    pub fn version(&self) -> Option<Version> {
        match &self.0 {
            State::Writing(progress) | State::Reading(progress) | State::Over(progress) => {
                Some(progress.version)
            }
            State::Failed => None,
        }
    }

    /// Writes the next act.
    ///
    /// # Errors
    /// It isn't our turn, or our own auth data doesn't fit.
    pub fn write(&mut self) -> Result<Vec<u8>, HandshakeError> {
        match std::mem::replace(&mut self.0, State::Failed) {
            State::Writing(mut progress) => {
                let bytes = progress.write()?;
                self.0 = State::after(progress);
                Ok(bytes)
            }
            other => {
                self.0 = other;
                Err(HandshakeError::Turn)
            }
        }
    }

    /// Reads the other side's act: all of it and nothing more.
    ///
    /// # Errors
    /// The act is not what it should be: another version, length or key. Nothing more can come of this handshake.
    pub fn read(&mut self, act: &[u8]) -> Result<(), HandshakeError> {
        match std::mem::replace(&mut self.0, State::Failed) {
            State::Reading(mut progress) => {
                progress.read(act)?;
                self.0 = State::after(progress);
                Ok(())
            }
            other => {
                self.0 = other;
                Err(HandshakeError::Turn)
            }
        }
    }

    /// The ciphers and what was learned.
    ///
    /// # Errors
    /// There are acts left.
    pub fn finish(self) -> Result<Established, HandshakeError> {
        match self.0 {
            State::Over(progress) => progress.finish(),
            State::Writing(_) | State::Reading(_) | State::Failed => Err(HandshakeError::Turn),
        }
    }
}

impl State {
    fn after(progress: Box<Progress>) -> State {
        if progress.act == progress.pattern.acts.len() {
            State::Over(progress)
        } else if progress.initiator == progress.act.is_multiple_of(2) {
            State::Writing(progress)
        } else {
            State::Reading(progress)
        }
    }
}

impl Progress {
    fn new(
        pattern: &'static Pattern,
        setup: Setup,
        version: Version,
        mask: Option<Mask>,
        remote: Option<PublicKey>,
    ) -> Box<Progress> {
        let mut progress = Progress {
            symmetric: Symmetric::new(pattern.protocol),
            pattern,
            initiator: true,
            version,
            act: 0,
            mask,
            local: setup.local,
            ephemeral: setup.ephemeral,
            remote,
            remote_ephemeral: None,
            auth_data: Zeroizing::default(),
        };
        progress.mix_known_keys();
        Box::new(progress)
    }

    fn responder(mut self: Box<Self>, auth_data: &[u8]) -> Box<Progress> {
        self.initiator = false;
        self.auth_data = Zeroizing::new(auth_data.to_vec());
        self.symmetric = Symmetric::new(self.pattern.protocol);
        self.mix_known_keys();
        self
    }

    fn mix_known_keys(&mut self) {
        if let (true, Some(remote)) = (self.pattern.keys_known, self.remote) {
            let (local, remote) = (self.local.public_key().to_bytes(), remote.to_bytes());
            let (first, second) = if self.initiator { (local, remote) } else { (remote, local) };
            self.symmetric.mix_hash(&first);
            self.symmetric.mix_hash(&second);
        }
    }

    fn write(&mut self) -> Result<Vec<u8>, HandshakeError> {
        let mut out = vec![self.version.to_byte()];
        for token in self.pattern.acts[self.act] {
            self.write_token(*token, &mut out)?;
        }
        payload::write(&mut self.symmetric, self.version, self.act, &self.auth_data, &mut out)?;
        self.act += 1;
        Ok(out)
    }

    fn write_token(&mut self, token: Token, out: &mut Vec<u8>) -> Result<(), HandshakeError> {
        match token {
            Token::E => {
                let key = self.ephemeral.public_key().to_bytes();
                self.symmetric.mix_hash(&key);
                out.extend(key);
            }
            Token::MaskedE => {
                let key = self.ephemeral.public_key();
                self.symmetric.mix_hash(&key.to_bytes());
                let mask = self.mask.as_ref().ok_or(HandshakeError::Turn)?;
                out.extend(mask.put_on(&key).ok_or(HandshakeError::Key)?.to_bytes());
            }
            Token::S => out.extend(self.symmetric.encrypt_and_hash(&self.local.public_key().to_bytes())?),
            Token::Ee | Token::Es | Token::Se | Token::Ss => self.mix(token)?,
        }
        Ok(())
    }

    fn read(&mut self, act: &[u8]) -> Result<(), HandshakeError> {
        let (byte, mut rest) = act.split_first().ok_or(HandshakeError::Length)?;
        let version = self.agree(*byte)?;
        for token in self.pattern.acts[self.act] {
            self.read_token(*token, &mut rest)?;
        }
        let data = payload::read(&mut self.symmetric, version, self.act, rest)?;
        if self.act == AUTH_ACT {
            self.auth_data = data;
        }
        self.act += 1;
        Ok(())
    }

    /// The initiator adopts the responder's version; the responder keeps its own, takes any it knows in act 1 and its
    /// own in act 3. Returns the version that this act is read by.
    fn agree(&mut self, byte: u8) -> Result<Version, HandshakeError> {
        let version = Version::from_byte(byte).ok_or(HandshakeError::Version(byte))?;
        if version < self.pattern.oldest || (!self.initiator && self.act > 0 && version != self.version) {
            return Err(HandshakeError::Version(byte));
        }
        if self.initiator {
            self.version = version;
        }
        Ok(version)
    }

    fn read_token(&mut self, token: Token, rest: &mut &[u8]) -> Result<(), HandshakeError> {
        match token {
            Token::E => {
                let key = public_key(take(rest, PUBLIC_KEY_LEN)?)?;
                self.symmetric.mix_hash(&key.to_bytes());
                self.remote_ephemeral = Some(key);
            }
            Token::MaskedE => {
                let masked = public_key(take(rest, PUBLIC_KEY_LEN)?)?;
                let mask = self.mask.as_ref().ok_or(HandshakeError::Turn)?;
                let key = mask.take_off(&masked).ok_or(HandshakeError::Key)?;
                self.symmetric.mix_hash(&key.to_bytes());
                self.remote_ephemeral = Some(key);
            }
            Token::S => {
                let key = self.symmetric.decrypt_and_hash(take(rest, PUBLIC_KEY_LEN + TAG_LEN)?)?;
                self.remote = Some(public_key(&key)?);
            }
            Token::Ee | Token::Es | Token::Se | Token::Ss => self.mix(token)?,
        }
        Ok(())
    }

    /// Mixes in the shared secret that a token names.
    fn mix(&mut self, token: Token) -> Result<(), HandshakeError> {
        let (ephemeral, remote) = match (token, self.initiator) {
            (Token::Ee, _) => (true, self.remote_ephemeral),
            (Token::Es, true) | (Token::Se, false) => (true, self.remote),
            (Token::Es, false) | (Token::Se, true) => (false, self.remote_ephemeral),
            (Token::Ss, _) => (false, self.remote),
            (Token::E | Token::MaskedE | Token::S, _) => return Err(HandshakeError::Turn),
        };
        let local = if ephemeral { &self.ephemeral } else { &self.local };
        let shared = local.diffie_hellman(&remote.ok_or(HandshakeError::Turn)?);
        self.symmetric.mix_key(&shared);
        Ok(())
    }

    fn finish(self) -> Result<Established, HandshakeError> {
        let keys = self.symmetric.split();
        let (ours, theirs) = if self.initiator {
            (&keys.to_responder, &keys.to_initiator)
        } else {
            (&keys.to_initiator, &keys.to_responder)
        };
        Ok(Established {
            sealer: Sealer::new(ours, &keys.chaining_key),
            opener: Opener::new(theirs, &keys.chaining_key),
            remote: self.remote.ok_or(HandshakeError::Turn)?,
            version: self.version,
            auth_data: self.auth_data,
        })
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], HandshakeError> {
    let (taken, left) = rest.split_at_checked(length).ok_or(HandshakeError::Length)?;
    *rest = left;
    Ok(taken)
}

fn public_key(bytes: &[u8]) -> Result<PublicKey, HandshakeError> {
    PublicKey::from_bytes(bytes).map_err(|_| HandshakeError::Key)
}

/// Why a handshake failed. No text holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// It is not decrypted by the keys both sides should have: another phrase, another static key, or damage.
    #[error("the other side has another pairing phrase or key")]
    Decrypt,
    /// A version that we don't know, or that may not be used here.
    #[error("the other side speaks version {0} of the handshake, which is not known here")]
    Version(u8),
    /// Too short or too long for what it should be.
    #[error("an act of the handshake has the wrong length")]
    Length,
    /// No point of the curve.
    #[error("an act of the handshake holds no valid key")]
    Key,
    /// More auth data than the version carries.
    #[error("the auth data is too long")]
    AuthDataTooLong,
    /// The caller's: not this side's turn.
    #[error("it is not this side's turn in the handshake")]
    Turn,
}

impl From<AeadFailed> for HandshakeError {
    fn from(_: AeadFailed) -> Self {
        HandshakeError::Decrypt
    }
}
