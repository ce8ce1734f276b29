//! What is known of a mint: its keysets, their fees and their keys.

use std::collections::{HashMap, HashSet};

use cdk::amount::FeeAndAmounts;
use cdk::nuts::{CurrencyUnit, Id, KeySet, KeySetInfo, Keys, Proof, PublicKey};

use crate::Refusal;

/// How long before a keyset's end its ecash is exchanged, in seconds: a month, so that a mint that is away meanwhile costs nothing.
const ENDS_SOON_S: u64 = 30 * 86_400;

/// A mint's keysets in the unit sat. Only those whose id is the hash of their keys get in.
#[derive(Clone, Debug, Default)]
pub struct Keysets {
    infos: Vec<KeySetInfo>,
    keys: HashMap<Id, Keys>,
    /// There are others, active, whose ids are of a version that is not understood here.
    has_newer: bool,
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
        Self { infos, keys, has_newer: false }
    }

    /// The same of a mint that has active keysets, too, whose ids are of a version that is not understood here.
    pub(crate) fn with_newer(self, has_newer: bool) -> Self {
        Self { has_newer, ..self }
    }

    /// Whether the mint has active keysets whose ids are of a version that is not understood here.
    pub(crate) fn has_newer(&self) -> bool {
        self.has_newer
    }

    /// Adds the keys of a keyset that is listed; `false`: they do not make up its id.
    pub(crate) fn add(&mut self, keyset: KeySet) -> bool {
        let is_genuine = self.info(&keyset.id).is_some() && keyset.verify_id().is_ok();
        if is_genuine {
            self.keys.insert(keyset.id, keyset.keys);
        }
        is_genuine
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

    /// The keyset that new ecash is to be of at Unix second `now`: active, not about to end unless there is no other, and the cheapest
    /// to spend.
    pub(crate) fn for_outputs(&self, now: u64) -> Option<(&KeySetInfo, &Keys)> {
        let usable = self.infos.iter().filter(|info| info.active && !ends_by(info, now));
        let ends_soon = |info: &KeySetInfo| ends_by(info, now.saturating_add(ENDS_SOON_S));
        usable
            .filter_map(|info| self.keys(&info.id).map(|keys| (info, keys)))
            .min_by_key(|(info, _)| (ends_soon(info), info.input_fee_ppk))
    }

    /// The keysets whose ecash is to be exchanged at Unix second `now`, since it is worth nothing soon.
    pub(crate) fn ending(&self, now: u64) -> Vec<Id> {
        let soon = now.saturating_add(ENDS_SOON_S);
        let ending = self.infos.iter().filter(|info| !ends_by(info, now) && ends_by(info, soon));
        ending.map(|info| info.id).collect()
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

/// Whether the mint takes no ecash of this keyset any more at this Unix second (NUT-02).
pub(crate) fn ends_by(info: &KeySetInfo, second: u64) -> bool {
    // Some mints write 0 where there is no end.
    info.final_expiry.is_some_and(|end| end > 0 && end <= second)
}

/// A keyset's denominations with its fee, as cdk splits amounts by.
pub(crate) fn denominations(info: &KeySetInfo, keys: &Keys) -> FeeAndAmounts {
    (info.input_fee_ppk, keys.iter().map(|(amount, _)| amount.to_u64()).collect()).into()
}
