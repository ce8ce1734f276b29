//! Getting the wallet's ecash back from its mints, with nothing but its seed (NUT-09, NUT-13): after its file was lost.
//!
//! Every output that was ever asked for comes from the seed, a keyset and a counter. So the mint is asked, from the first
//! counter on, which outputs it has signed, and which of those are not spent. What it has signed is never asked for again: the
//! keyset's counter is moved past it. Payments may be taken meanwhile; paying out waits, since it is what takes ecash out of
//! the wallet.

use std::collections::{HashMap, HashSet};

use cdk::dhke::construct_proofs;
use cdk::nuts::{BlindSignature, CurrencyUnit, Id, Keys, PreMintSecrets, Proof, Proofs, PublicKey, State};
use cdk::types::ProofInfo;

use crate::mint::Mint;
use crate::swap::Purse;
use crate::turn::Turn;
use crate::{Till, Unavailable};

/// Outputs asked for at once, and how many such lots in a row have to be unknown to the mint until it is the end (NUT-13).
const LOT: u32 = 100;
const EMPTY_LOTS: u32 = 3;
/// How often one question is asked again of a mint that limits how often it is asked.
const PAUSES_AT_MOST: usize = 100;

/// What came back from one mint, in sat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The mint.
    pub mint: String,
    /// Put into the wallet. Nobody is on record for it.
    pub restored_sat: u64,
    /// In the wallet already.
    pub known_sat: u64,
    /// In use at the mint, for a payment that has not ended.
    pub pending_sat: u64,
    /// Why not all was looked at: a keyset each, or the mint. What came back all the same is in the wallet.
    pub errors: Vec<String>,
}

impl Till {
    /// Puts into the wallet what its mints have signed for its seed and what is not spent. To be called any number of times,
    /// also while payments are taken.
    ///
    /// # Errors
    /// [`Unavailable::Store`]; what else goes wrong is told for each mint.
    pub async fn restore(&self) -> Result<Vec<Restored>, Unavailable> {
        let _turn = Turn::take(&self.inner.database).await?;
        let mut all = Vec::new();
        for mint in &self.inner.mints {
            let mut found = Restored { mint: mint.url.to_string(), ..Restored::default() };
            if let Err(error) = self.inner.purse.restore_all(mint, &mut found).await {
                found.errors.push(error.to_string());
            }
            all.push(found);
        }
        Ok(all)
    }
}

impl Purse {
    async fn restore_all(&self, mint: &Mint, found: &mut Restored) -> Result<(), Unavailable> {
        let keysets = patiently(mint, || mint.refresh(std::time::Duration::ZERO)).await?;
        for info in keysets.infos() {
            let restored = async {
                let (_, keys) = patiently(mint, || mint.keyset(info.id)).await?;
                self.restore_keyset(mint, info.id, &keys, found).await
            };
            match restored.await {
                Ok(()) => {}
                // One that fails costs no other.
                Err(error @ Unavailable::Mint { .. }) => {
                    found.errors.push(format!("keyset {}: {error}", info.id));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn restore_keyset(
        &self,
        mint: &Mint,
        keyset: Id,
        keys: &Keys,
        found: &mut Restored,
    ) -> Result<(), Unavailable> {
        let store = |error: &dyn std::fmt::Display| Unavailable::Store(error.to_string());
        let (mut next, mut empty, mut used) = (0_u32, 0, 0);
        while empty < EMPTY_LOTS {
            let lot = PreMintSecrets::restore_batch(keyset, &self.seed.0, next, next.saturating_add(LOT));
            let lot = lot.map_err(|error| store(&error))?;
            let signed = patiently(mint, || self.signatures(mint, &lot)).await?;
            match signed.iter().map(|(place, _)| *place).max() {
                None => empty += 1,
                Some(last) => {
                    empty = 0;
                    used = next.saturating_add(u32::try_from(last).unwrap_or(LOT)).saturating_add(1);
                    self.take_back(mint, keys, &lot, signed, found).await?;
                }
            }
            next = next.saturating_add(LOT);
        }
        // Who takes payments meanwhile moves it as well, and never back.
        let counter =
            self.wallet.increment_keyset_counter(&keyset, 0).await.map_err(|error| store(&error))?;
        if counter < used {
            let moved = self.wallet.increment_keyset_counter(&keyset, used - counter).await;
            moved.map_err(|error| store(&error))?;
        }
        Ok(())
    }

    /// Puts what is not spent, and not in the wallet, into it.
    async fn take_back(
        &self,
        mint: &Mint,
        keys: &Keys,
        lot: &PreMintSecrets,
        signed: Vec<(usize, BlindSignature)>,
        found: &mut Restored,
    ) -> Result<(), Unavailable> {
        let store = |error: &dyn std::fmt::Display| Unavailable::Store(error.to_string());
        let (proofs, counters) = unblinded(lot, signed, keys).map_err(|reason| mint.unavailable(reason))?;
        let ys: Result<Vec<PublicKey>, _> = proofs.iter().map(Proof::y).collect();
        let ys = ys.map_err(|error| store(&error))?;
        let states = patiently(mint, || self.states_of(mint, ys.clone())).await?;
        let states: HashMap<_, _> = states.into_iter().map(|proof| (proof.y, proof.state)).collect();
        let known = self.wallet.get_proofs_by_ys(ys.clone()).await.map_err(|error| store(&error))?;
        let known: HashSet<_> = known.into_iter().map(|info| info.y).collect();
        let mut added = Vec::new();
        for ((proof, y), counter) in proofs.into_iter().zip(ys).zip(counters) {
            let sat = proof.amount.to_u64();
            match states.get(&y) {
                Some(State::Unspent) if known.contains(&y) => found.known_sat += sat,
                Some(State::Unspent) => {
                    let info = ProofInfo::new(proof, mint.url.clone(), State::Unspent, CurrencyUnit::Sat);
                    added.push(info.map_err(|error| store(&error))?.with_derivation_index(counter));
                    found.restored_sat += sat;
                }
                Some(State::Spent) => {}
                Some(_) => found.pending_sat += sat,
                None => return Err(mint.unavailable("it does not say the state of every proof")),
            }
        }
        self.record.own_if_nobodys(added.iter().map(|info| info.y.to_bytes()).collect()).await?;
        self.wallet.update_proofs(added, Vec::new()).await.map_err(|error| store(&error))
    }
}

/// Asks again as long as the mint wants to be asked less often: a wallet with many keysets has many questions.
async fn patiently<T, F: Future<Output = Result<T, Unavailable>>>(
    mint: &Mint,
    ask: impl Fn() -> F,
) -> Result<T, Unavailable> {
    for _ in 0..PAUSES_AT_MOST {
        match ask().await {
            Err(error) => match mint.pause() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            },
            done => return done,
        }
    }
    ask().await
}

/// The ecash that the mint's signatures make of these outputs, and their counters.
fn unblinded(
    lot: &PreMintSecrets,
    signed: Vec<(usize, BlindSignature)>,
    keys: &Keys,
) -> Result<(Proofs, Vec<u32>), &'static str> {
    const WRONG: &str = "its signature on an output is not one";
    let (mut signatures, mut rs, mut secrets, mut counters) = (vec![], vec![], vec![], vec![]);
    for (place, signature) in signed {
        let output = lot.secrets.get(place).ok_or(WRONG)?;
        let key = keys.amount_key(signature.amount).ok_or(WRONG)?;
        let blinded = &output.blinded_message;
        let is_good = signature.keyset_id == blinded.keyset_id
            && (signature.dleq.is_none() || signature.verify_dleq(key, blinded.blinded_secret).is_ok());
        if !is_good {
            return Err(WRONG);
        }
        signatures.push(signature);
        rs.push(output.r.clone());
        secrets.push(output.secret.clone());
        counters.push(output.derivation_index.ok_or(WRONG)?);
    }
    let proofs = construct_proofs(signatures, rs, secrets, keys).map_err(|_| WRONG)?;
    Ok((proofs, counters))
}
