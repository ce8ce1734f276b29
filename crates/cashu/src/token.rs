//! A token as a client sends it: its mint, its unit and its proofs. Nothing is trusted yet.

use std::{collections::HashSet, fmt, str::FromStr};

use cdk::Amount;
use cdk::dhke::hash_to_curve;
use cdk::mint_url::MintUrl;
use cdk::nuts::nut02::ShortKeysetId;
use cdk::nuts::{CurrencyUnit, Id, KeySetInfo, Proof, Proofs, PublicKey, Token, nut00, nut02};
use sha2::{Digest, Sha256};

use crate::Refusal;
use crate::mint_url::canonical;

/// The longest token read, in bytes: what nginx can be told to take in one header line, and more than a frame holds.
pub const MAX_TOKEN: usize = 48 * 1024;
/// The most proofs in one token: an amount in powers of two has about twenty.
pub const MAX_PROOFS: usize = 100;

/// What a payment is known by: the SHA-256 of its proofs' Y values (NUT-00), in order. The token's text, its encoding, the order
/// of its proofs, its memo, witnesses and DLEQ proofs change nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PaymentId(pub [u8; 32]);

impl fmt::Debug for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A token that could be read. `Debug` shows neither secrets nor signatures.
#[derive(Clone)]
pub struct Offered {
    mint: MintUrl,
    unit: CurrencyUnit,
    token: Token,
    ys: Vec<PublicKey>,
    amount_sat: u64,
}

impl Offered {
    /// Reads a token: `cashuA…` (V3) or `cashuB…` (V4), in base64 as its version says.
    ///
    /// # Errors
    /// [`Refusal`]: it is none, is too large, or names several mints or a proof twice.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_TOKEN {
            return Err(Refusal::TooLarge);
        }
        let token = Token::from_str(text.trim_ascii()).map_err(|error| unread(&error))?;
        let secrets = token.token_secrets();
        match secrets.len() {
            0 => return Err(Refusal::Malformed),
            1..=MAX_PROOFS => {}
            _ => return Err(Refusal::TooLarge),
        }
        let ys: Result<Vec<PublicKey>, _> =
            secrets.iter().map(|secret| hash_to_curve(secret.as_bytes())).collect();
        let ys = ys.map_err(|_| Refusal::Malformed)?;
        if ys.iter().collect::<HashSet<_>>().len() < ys.len() {
            return Err(Refusal::DuplicateProof);
        }
        let amount_sat = token.value().map_err(|_| Refusal::Malformed)?.to_u64();
        let mint = canonical(&token.mint_url().map_err(|_| Refusal::Malformed)?);
        // A V3 token need not say its unit; it is sat then (NUT-00).
        let unit = token.unit().unwrap_or(CurrencyUnit::Sat);
        Ok(Self { mint, unit, token, ys, amount_sat })
    }

    /// The mint that it names, in the one spelling that its address has here.
    #[must_use]
    pub fn mint(&self) -> &MintUrl {
        &self.mint
    }

    /// Its unit.
    pub(crate) fn unit(&self) -> &CurrencyUnit {
        &self.unit
    }

    /// The sum of its proofs, in its unit, before the mint's fee.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount_sat
    }

    /// The Y value of each proof (NUT-00).
    pub(crate) fn ys(&self) -> &[PublicKey] {
        &self.ys
    }

    /// What the payment is known by.
    #[must_use]
    pub fn id(&self) -> PaymentId {
        let mut ys: Vec<[u8; 33]> = self.ys.iter().map(PublicKey::to_bytes).collect();
        ys.sort_unstable();
        let mut hash = Sha256::new();
        ys.iter().for_each(|y| hash.update(y));
        PaymentId(hash.finalize().into())
    }

    /// Its proofs, with the keyset ids that it gives in short written out.
    pub(crate) fn proofs(&self, keysets: &[KeySetInfo]) -> Result<Proofs, Refusal> {
        self.token.proofs(keysets).map_err(|_| Refusal::Keyset)
    }

    /// Whether any of its keysets is missing from this list.
    pub(crate) fn names_other_keysets(&self, known: &[KeySetInfo]) -> bool {
        let is_unknown = |short: &ShortKeysetId| match Id::from_short_keyset_id(short, known) {
            Ok(id) => known.iter().all(|keyset| keyset.id != id),
            Err(_) => true,
        };
        match &self.token {
            Token::TokenV3(token) => token
                .token
                .iter()
                .flat_map(|of_mint| &of_mint.proofs)
                .any(|proof| is_unknown(&proof.keyset_id)),
            Token::TokenV4(token) => token.token.iter().any(|of_keyset| is_unknown(&of_keyset.keyset_id)),
        }
    }
}

impl fmt::Debug for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offered")
            .field("id", &self.id())
            .field("mint", &self.mint)
            .field("amount", &self.amount_sat)
            .field("proofs", &self.ys.len())
            .finish()
    }
}

/// Why a token can't be read. Only its text says so where a keyset's id inside is of another version.
fn unread(error: &nut00::Error) -> Refusal {
    let newer = nut02::Error::UnknownVersion.to_string();
    if error.to_string().contains(&newer) { Refusal::NewerKeyset } else { Refusal::Malformed }
}

/// The sum of proofs, in their unit.
pub(crate) fn sum(proofs: &[Proof]) -> Option<u64> {
    Amount::try_sum(proofs.iter().map(|proof| proof.amount)).ok().map(|sum| sum.to_u64())
}
