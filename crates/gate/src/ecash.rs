//! Ecash in a request (NUT-24): where it stands, and what becomes of a payment made with it.

use l402::macaroon::MAX_BYTES;
use l402::{Identifier, KeyRing, Macaroon, PaymentHash, Preimage, TokenId, Uses};

use crate::judge::Redeemable;
use crate::policy::{Request, Sale};
use crate::step::{Ecash, Failure, Issued, Proof};

/// What a minted macaroon names as its location. Not signed, of no meaning; Aperture's says `lsat`.
pub(crate) const LOCATION: &str = "l402";

/// The longest token that is passed on, in bytes.
const MAX_TOKEN: usize = 48 * 1024;

/// What the client is told of a payment whose use is drawn, or whose time is over.
pub(crate) const SPENT: &str = "the ecash has been spent already";

/// The ecash of a request: the header `X-Cashu`, or `Authorization: Cashu ...`. `Err`: something that can't be any.
pub(crate) fn find(request: &Request<'_>) -> Option<Result<Ecash, &'static str>> {
    let of_scheme = || {
        let (scheme, token) = request.authorization?.split_at_checked(6)?;
        scheme.eq_ignore_ascii_case(b"cashu ").then_some(token)
    };
    let token = request.ecash.or_else(of_scheme)?.trim_ascii();
    // Without a branch, so that many bytes are looked at at once.
    let odd = token.iter().fold(0, |seen, byte| seen | u8::from(!byte.is_ascii_graphic()));
    let fits = !token.is_empty() && odd == 0;
    let text = std::str::from_utf8(token).ok().filter(|_| fits);
    Some(match text {
        None => Err("the ecash token can not be read: send cashuA or cashuB"),
        Some(text) if text.len() > MAX_TOKEN => {
            Err("the ecash token is too large: send fewer and larger proofs")
        }
        Some(text) => Ok(Ecash(text.to_owned())),
    })
}

/// Whether what is sold fits a token: one that could not be read when it comes back is never sold.
pub(crate) fn can_buy(sale: &Sale<'_>) -> bool {
    sale.bought().len() <= MAX_BYTES
}

/// A payment made with ecash, as a credential of its own.
#[derive(Debug)]
pub(crate) struct Payment {
    pub(crate) payment_hash: PaymentHash,
    pub(crate) preimage: Preimage,
    pub(crate) nonce: [u8; 28],
    pub(crate) paid_at: u64,
}

impl Payment {
    /// The token that an L402 payment at that time would have bought.
    pub(crate) fn credential(self, sale: &Sale<'_>, keys: &KeyRing) -> Result<Redeemable, Failure> {
        let key = keys.signing().ok_or(Failure::Internal)?;
        let identifier = Identifier::new(self.payment_hash, TokenId::new(key.id(), self.nonce));
        let macaroon = Macaroon::mint(key, &identifier, LOCATION, sale.terms(self.paid_at).caveats());
        if macaroon.encode_v2().len() > MAX_BYTES {
            return Err(Failure::Internal);
        }
        let limit = match sale.uses() {
            Uses::Limited(limit) => Some(limit),
            Uses::Unlimited => None,
        };
        Ok(Redeemable { macaroon, identifier, proof: Proof::Preimage(self.preimage), limit })
    }
}

/// What the client gets to come back with, where the payment buys more than one request.
pub(crate) fn issued(token: &Redeemable) -> Option<Box<Issued>> {
    match &token.proof {
        Proof::Preimage(preimage) if token.limit != Some(1) => {
            let (macaroon, preimage) = (token.macaroon.to_base64(), preimage.clone());
            Some(Box::new(Issued { macaroon, preimage }))
        }
        Proof::Preimage(_) | Proof::LookUp(_) | Proof::Known => None,
    }
}
