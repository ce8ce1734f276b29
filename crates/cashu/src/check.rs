//! One token against what is accepted: all that can be said of it without asking anyone.

use std::fmt;

use cdk::nuts::Proofs;

use crate::keysets::ends_by;
use crate::lock::{REDEMPTION_WINDOW_S, Spendable, spendable};
use crate::mint_url::canonical;
use crate::token::sum;
use crate::{Keysets, Lock, Offered, Refusal, Terms, sat_of_msat};

/// A token that passed. `Debug` shows neither secrets nor signatures.
#[derive(Clone)]
pub struct Checked {
    /// Its proofs, with whole keyset ids; their secrets are the client's bytes.
    pub(crate) proofs: Proofs,
    /// What is left of it after the mint's fee, in sat.
    pub net_sat: u64,
    /// Its keysets are in use, and will be for as long as redeeming it may take. Of another one nothing is to be believed that the
    /// mint has not said now.
    pub(crate) is_of_current_keysets: bool,
    /// When the first of its locks ends, in Unix seconds.
    pub(crate) lock_end: Option<u64>,
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked").field("proofs", &self.proofs.len()).field("net_sat", &self.net_sat).finish()
    }
}

impl Offered {
    /// Whether its mint and unit are accepted: what has to be known before the mint is asked for anything.
    ///
    /// # Errors
    /// [`Refusal::Mint`], [`Refusal::Unit`].
    pub fn is_of(&self, terms: &Terms) -> Result<(), Refusal> {
        if terms.mints.iter().all(|mint| canonical(mint) != *self.mint()) {
            return Err(Refusal::Mint);
        }
        if *self.unit() != cdk::nuts::CurrencyUnit::Sat {
            return Err(Refusal::Unit);
        }
        Ok(())
    }
}

/// Checks a token against a price, at Unix second `now`, in the order: mint, unit, keysets, DLEQ proofs, locks, amount.
/// Whether it has been spent only its mint knows; with a lock to our key it can't have been, except by us.
///
/// # Errors
/// [`Refusal`]
pub fn check(
    offered: &Offered,
    terms: &Terms,
    keysets: &Keysets,
    price_msat: u64,
    now: u64,
) -> Result<Checked, Refusal> {
    offered.is_of(terms)?;
    let proofs = offered.proofs(keysets.infos())?;
    let offline = matches!(terms.lock, Lock::Key(_));
    let redeemed_by = now.saturating_add(REDEMPTION_WINDOW_S);
    let (mut is_of_current_keysets, mut lock_ends) = (true, Vec::new());
    for proof in &proofs {
        let keyset = keysets.info(&proof.keyset_id).ok_or(Refusal::Keyset)?;
        if ends_by(keyset, now) {
            return Err(Refusal::ExpiredKeyset);
        }
        is_of_current_keysets &= keyset.active && !ends_by(keyset, redeemed_by);
        match (&proof.dleq, keysets.key_of(proof)) {
            (Some(_), Some(key)) => proof.verify_dleq(key).map_err(|_| Refusal::WrongDleq)?,
            (Some(_), None) => return Err(Refusal::Keyset),
            (None, _) if offline || terms.require_dleq => return Err(Refusal::NoDleq),
            (None, _) => {}
        }
        match (terms.lock, spendable(proof, terms.key(), now)) {
            (Lock::None, Spendable::ByHolder) => {}
            (Lock::Key(_), Spendable::ByKey(end)) => lock_ends.extend(end),
            (Lock::None, Spendable::ByKey(_)) => return Err(Refusal::LockedToOther),
            (Lock::Key(_), Spendable::ByHolder) => return Err(Refusal::NotLocked),
            (_, Spendable::Otherwise(refusal)) => return Err(refusal),
        }
    }
    let net_sat = sum(&proofs).and_then(|total| total.checked_sub(keysets.fee_sat(&proofs).ok()?));
    let net_sat = net_sat.filter(|net| *net >= sat_of_msat(price_msat).max(1)).ok_or(Refusal::Amount)?;
    let lock_end = lock_ends.into_iter().min();
    Ok(Checked { proofs, net_sat, is_of_current_keysets, lock_end })
}

impl Terms {
    fn key(&self) -> Option<&cdk::nuts::PublicKey> {
        match &self.lock {
            Lock::None => None,
            Lock::Key(key) => Some(key),
        }
    }
}
