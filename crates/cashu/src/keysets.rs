//! What is known of a mint: its keysets, their fees and their keys.

use std::collections::{HashMap, HashSet};

use cdk::amount::FeeAndAmounts;
use cdk::nuts::{CurrencyUnit, Id, KeySet, KeySetInfo, Keys, Proof, PublicKey};

use crate::Refusal;

/// A mint's keysets in the unit sat. Only those whose id is the hash of their keys get in.
#[derive(Clone, Debug, Default)]
pub struct Keysets {
    infos: Vec<KeySetInfo>,
    keys: HashMap<Id, Keys>,
}

impl Keysets {
    /// From the mint's list and the keys of those that were fetched. What is in another unit is left out, and so is a
    /// keyset whose keys do not make up its id (NUT-02).
    #[must_use]
    pub fn new(infos: Vec<KeySetInfo>, keysets: impl IntoIterator<Item = KeySet>) -> Self {
        let infos: Vec<_> = infos.into_iter().filter(|info| info.unit == CurrencyUnit::Sat).collect();
        let listed: HashSet<Id> = infos.iter().map(|info| info.id).collect();
        let genuine = |keyset: &KeySet| listed.contains(&keyset.id) && keyset.verify_id().is_ok();
        let keys = keysets.into_iter().filter(genuine).map(|keyset| (keyset.id, keyset.keys)).collect();
        Self { infos, keys }
    }

    /// All of them, retired ones too.
    pub(crate) fn infos(&self) -> &[KeySetInfo] {
        &self.infos
    }

    /// The keyset of this id.
    pub(crate) fn info(&self, id: &Id) -> Option<&KeySetInfo> {
        self.infos.iter().find(|info| info.id == *id)
    }

    /// The keys of a keyset, if they were fetched and are genuine.
    pub(crate) fn keys(&self, id: &Id) -> Option<&Keys> {
        self.keys.get(id)
    }

    /// The mint's key for a proof.
    pub(crate) fn key_of(&self, proof: &Proof) -> Option<PublicKey> {
        self.keys(&proof.keyset_id)?.amount_key(proof.amount)
    }

    /// The keyset that new ecash is to be of: active, and the cheapest to spend.
    pub(crate) fn for_outputs(&self) -> Option<(&KeySetInfo, &Keys)> {
        let active = self.infos.iter().filter(|info| info.active);
        active
            .filter_map(|info| self.keys(&info.id).map(|keys| (info, keys)))
            .min_by_key(|(info, _)| info.input_fee_ppk)
    }

    /// What the mint keeps of these proofs when they are swapped, in sat: the sum of their keysets' fees in thousandths,
    /// rounded up (NUT-02).
    ///
    /// # Errors
    /// [`Refusal::Keyset`]: one of a keyset that the mint does not know.
    pub(crate) fn fee_sat(&self, proofs: &[Proof]) -> Result<u64, Refusal> {
        let mut ppk: u64 = 0;
        for proof in proofs {
            let info = self.info(&proof.keyset_id).ok_or(Refusal::Keyset)?;
            ppk = ppk.checked_add(info.input_fee_ppk).ok_or(Refusal::Amount)?;
        }
        Ok(ppk.div_ceil(1000))
    }
}

/// A keyset's denominations with its fee, as cdk splits amounts by.
pub(crate) fn denominations(info: &KeySetInfo, keys: &Keys) -> FeeAndAmounts {
    (info.input_fee_ppk, keys.iter().map(|(amount, _)| amount.to_u64()).collect()).into()
}
