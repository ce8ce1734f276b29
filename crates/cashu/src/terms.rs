//! What the operator accepts, and the payment request that says it (NUT-18, NUT-24, NUT-26).

use std::collections::HashSet;

use cdk::Amount;
use cdk::mint_url::MintUrl;
use cdk::nuts::{CurrencyUnit, Kind, Nut10SecretRequest, PaymentRequest, PublicKey};

use crate::mint_url::canonical;

/// How a payment request is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestFormat {
    /// `creqA…`, CBOR in base64 (NUT-18): what every wallet reads.
    #[default]
    A,
    /// `CREQB…`, bech32m (NUT-26): shorter as a QR code, and newer.
    B,
}

/// Whether ecash has to be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Plain ecash: it counts once it was swapped at the mint.
    None,
    /// Ecash that only the owner of this key can spend (NUT-11): it counts at once.
    Key(PublicKey),
}

/// What is accepted.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The mints; no other is ever contacted.
    pub mints: Vec<MintUrl>,
    /// The lock.
    pub lock: Lock,
    /// Are DLEQ proofs required (NUT-12)? With a lock they always are.
    pub require_dleq: bool,
    /// How requests are written.
    pub format: RequestFormat,
}

impl Terms {
    /// Names each mint once, in one spelling.
    pub(crate) fn unify_mints(&mut self) {
        let mut seen = HashSet::new();
        self.mints = self.mints.iter().map(canonical).filter(|mint| seen.insert(mint.clone())).collect();
    }

    /// The payment request over a price, for the header `X-Cashu` of a 402; `None` if it can't be written.
    #[must_use]
    pub fn request(&self, price_msat: u64) -> Option<String> {
        let nut10 = match self.lock {
            Lock::None => None,
            Lock::Key(key) => {
                Some(Nut10SecretRequest::new(Kind::P2PK, key.to_hex(), None::<Vec<Vec<String>>>))
            }
        };
        let request = PaymentRequest {
            payment_id: None,
            amount: Some(Amount::from(sat_of_msat(price_msat))),
            unit: Some(CurrencyUnit::Sat),
            single_use: None,
            mints: self.mints.clone(),
            mint_preferred: None,
            supported_methods: Vec::new(),
            description: None,
            transports: Vec::new(),
            nut10,
        };
        match self.format {
            RequestFormat::A => Some(request.to_string()),
            RequestFormat::B => request.to_bech32_string().ok(),
        }
    }
}

/// A price in whole satoshis, rounded up.
#[must_use]
pub const fn sat_of_msat(msat: u64) -> u64 {
    msat.div_ceil(1000)
}
