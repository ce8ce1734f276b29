//! The two keys of a connection: what is signed and sealed with ours, and what counts as the wallet's word.

use std::fmt;

use nostr::event::{Event, EventBuilder, FinalizeEvent, Kind, Tag};
use nostr::key::{Keys, PublicKey, SecretKey};
use nostr::nips::{nip04, nip44};
use nostr::types::Timestamp;

use super::info::Encryption;

/// Our key and the wallet's, of the connection's URI (NIP-47).
pub(super) struct Account {
    /// Zeroised by its own `Drop`.
    keys: Keys,
    wallet: PublicKey,
}

/// Shows the public keys only.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.keys.public_key().to_hex();
        f.debug_struct("Account").field("client", &client).field("wallet", &self.wallet.to_hex()).finish()
    }
}

impl Account {
    /// From the wallet's public key and our secret one.
    ///
    /// # Errors
    /// The operator's: one of them is no key of the curve. The text holds neither.
    pub(super) fn new(wallet: &[u8; 32], secret: &[u8; 32]) -> Result<Account, String> {
        let secret = SecretKey::from_slice(secret)
            .map_err(|_| "the secret in NWC_URI is no key: copy the URI again from the wallet".to_owned())?;
        let wallet = PublicKey::from_byte_array(*wallet);
        if wallet.xonly().is_err() {
            return Err(
                "the wallet's public key in NWC_URI is no key: copy the URI again from the wallet".into()
            );
        }
        Ok(Account { keys: Keys::new(secret), wallet })
    }

    /// The wallet's public key.
    pub(super) fn wallet(&self) -> PublicKey {
        self.wallet
    }

    /// Our public key.
    pub(super) fn client(&self) -> PublicKey {
        self.keys.public_key()
    }

    /// A request (kind 23194) that only the wallet can read; `now` is Unix seconds.
    pub(super) fn request(&self, text: &str, encryption: Encryption, now: u64) -> Result<Event, String> {
        let secret = self.keys.secret_key();
        let sealed = match encryption {
            Encryption::Nip44 => nip44::encrypt(secret, &self.wallet, text, nip44::Version::V2),
            Encryption::Nip04 => nip04::encrypt(secret, &self.wallet, text),
        };
        let sealed = sealed.map_err(|error| format!("a request can't be encrypted: {error}"))?;
        let mut tags = vec![Tag::public_key(self.wallet)];
        if encryption == Encryption::Nip44 {
            tags.push(Tag::custom("encryption", [encryption.name()]));
        }
        self.sign(EventBuilder::new(Kind::WalletConnectRequest, sealed).tags(tags), now)
    }

    /// The answer to a relay that wants to know who we are (kind 22242, NIP-42).
    pub(super) fn introduction(&self, relay: &str, challenge: &str, now: u64) -> Result<Event, String> {
        let tags = [Tag::custom("relay", [relay]), Tag::custom("challenge", [challenge])];
        self.sign(EventBuilder::new(Kind::Authentication, "").tags(tags), now)
    }

    /// The plain text of an event that is proven to be the wallet's: see [`Account::is_from_wallet`].
    pub(super) fn open(&self, event: &Event) -> Result<String, String> {
        let secret = self.keys.secret_key();
        // A wallet may answer in another encryption than it was asked in, with UNSUPPORTED_ENCRYPTION for one.
        let opened = if event.content.contains("?iv=") {
            nip04::decrypt(secret, &self.wallet, event.content.as_str())
        } else {
            nip44::decrypt(secret, &self.wallet, &event.content)
        };
        opened.map_err(|error| error.to_string())
    }

    /// Whether the wallet wrote this event: author, id and signature. A relay that makes one up fails here.
    pub(super) fn is_from_wallet(&self, event: &Event) -> bool {
        event.pubkey == self.wallet && event.verify().is_ok()
    }

    fn sign(&self, event: EventBuilder, now: u64) -> Result<Event, String> {
        event
            .custom_created_at(Timestamp::from(now))
            .finalize(&self.keys)
            .map_err(|error| format!("an event can't be signed: {error}"))
    }
}
