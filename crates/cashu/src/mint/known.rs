//! What is known of a mint, learnt from it and kept for the next start: its keysets, their keys, and whether it enforces locks.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cdk::nuts::{Id, KeySet, KeySetInfo, Keys};
use serde_json::Value;

use super::Mint;
use crate::{Keysets, Unavailable, unix_now};

/// A token of an unknown keyset, or one that the mint refuses, makes us ask the mint for its keysets again, but not more often
/// than this: what is in it is the client's word. As long a failure is the answer to all who ask for the same.
pub(crate) const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Known {
    keysets: Option<Arc<Keysets>>,
    /// Whether it enforces locks (NUT-11), if it has ever said so.
    enforces_locks: Option<bool>,
    /// When the mint was asked last for its keysets, and why that failed.
    asked: Option<Instant>,
    failure: Option<Unavailable>,
    /// Keysets whose keys could not be fetched: when, and why.
    without_keys: HashMap<Id, (Instant, Unavailable)>,
}

impl Known {
    /// Why there were no keys of this keyset a moment ago.
    fn lately_without_keys(&self, id: Id) -> Option<Unavailable> {
        let failure = self.without_keys.get(&id);
        failure.filter(|(when, _)| when.elapsed() < ASK_AGAIN_AFTER).map(|(_, error)| error.clone())
    }
}

impl Mint {
    /// What was learnt before this process started: enough to verify ecash while the mint is away.
    pub(crate) async fn recall(&self) {
        let locks = self.record.enforces_locks(self.url.to_string()).await.ok().flatten();
        self.lock().enforces_locks = locks;
        let Ok(Some(infos)) = self.wallet.get_mint_keysets(self.url.clone()).await else { return };
        let mut keysets = Vec::new();
        for info in &infos {
            if let Ok(Some(keys)) = self.wallet.get_keys(&info.id).await {
                keysets.push(with_keys(info, keys));
            }
        }
        self.lock().keysets = Some(Arc::new(Keysets::new(infos, keysets)));
    }

    /// What is known of its keysets; the mint is asked only if nothing is.
    pub(crate) async fn keysets(&self) -> Result<Arc<Keysets>, Unavailable> {
        let known = self.lock().keysets.clone();
        match known {
            Some(known) => Ok(known),
            None => self.refresh(ASK_AGAIN_AFTER).await,
        }
    }

    /// As [`Mint::keysets`], and the mint is asked if what is known will not do.
    pub(crate) async fn keysets_with(
        &self,
        will_do: impl FnOnce(&Keysets) -> bool,
    ) -> Result<Arc<Keysets>, Unavailable> {
        let known = self.keysets().await?;
        if will_do(&known) { Ok(known) } else { self.refresh(ASK_AGAIN_AFTER).await }
    }

    /// As [`Mint::keysets`], with the keys of these keysets as far as the mint lists them. Those of a retired keyset are fetched
    /// when they are asked for here.
    pub(crate) async fn keysets_with_keys(
        &self,
        ids: impl IntoIterator<Item = Id>,
    ) -> Result<Arc<Keysets>, Unavailable> {
        let mut keysets = self.keysets().await?;
        for id in ids {
            if keysets.info(&id).is_none() {
                keysets = self.refresh(ASK_AGAIN_AFTER).await?;
            }
            if keysets.info(&id).is_some() && keysets.keys(&id).is_none() {
                keysets = self.learn(id).await?;
            }
        }
        Ok(keysets)
    }

    /// One keyset that is needed, with its keys.
    pub(crate) async fn keyset(&self, id: Id) -> Result<(KeySetInfo, Keys), Unavailable> {
        let keysets = self.keysets_with_keys([id]).await?;
        let found = keysets.info(&id).cloned().zip(keysets.keys(&id).cloned());
        found.ok_or_else(|| self.unavailable(format!("it no longer knows its keyset {id}")))
    }

    /// Whether the mint enforces locks (NUT-11); it is asked if it has never said so.
    pub(crate) async fn enforces_locks(&self) -> Result<bool, Unavailable> {
        if let Some(known) = self.says_of_locks() {
            return Ok(known);
        }
        self.refresh(ASK_AGAIN_AFTER).await?;
        self.says_of_locks().ok_or_else(|| self.unavailable("it does not say whether it enforces locks"))
    }

    /// The same, without asking.
    pub(crate) fn says_of_locks(&self) -> Option<bool> {
        self.lock().enforces_locks
    }

    /// Whether anything is known that payments can be swapped with.
    pub(crate) fn is_known(&self) -> bool {
        self.lock().keysets.is_some()
    }

    /// Asks the mint for its keysets, unless it was asked within `not_within`; then the answer is what came of that.
    pub(crate) async fn refresh(&self, not_within: Duration) -> Result<Arc<Keysets>, Unavailable> {
        let arrived = Instant::now();
        let _one_at_a_time = self.refreshing.lock().await;
        {
            let known = self.lock();
            let lately = known.asked.is_some_and(|asked| asked > arrived || asked.elapsed() < not_within);
            match (lately, &known.failure, &known.keysets) {
                (true, Some(failure), _) => return Err(failure.clone()),
                (true, None, Some(keysets)) => return Ok(keysets.clone()),
                _ => {}
            }
        }
        let fetched = self.fetch().await;
        let mut known = self.lock();
        known.asked = Some(Instant::now());
        known.failure = fetched.as_ref().err().cloned();
        let keysets = Arc::new(fetched?);
        known.keysets = Some(keysets.clone());
        Ok(keysets)
    }

    /// The mint's list, with the keys of its active keysets and with those that are known. A keyset whose keys can't be fetched costs
    /// that keyset only.
    async fn fetch(&self) -> Result<Keysets, Unavailable> {
        let listed = self.call(|api| api.keysets()).await?.map_err(|word| self.unavailable(word.text()))?;
        let (infos, has_newer) = readable(&listed);
        self.ask_of_locks().await;
        let known = self.lock().keysets.clone().unwrap_or_default();
        let (mut keysets, mut failure) = (Vec::new(), None);
        for info in &infos {
            match known.keys(&info.id) {
                Some(keys) => keysets.push(with_keys(info, keys.clone())),
                None if info.active => match self.keys_of(info.id).await {
                    Ok(keyset) => keysets.push(keyset),
                    Err(error) => failure = Some(error),
                },
                None => {}
            }
        }
        self.keep(&infos, &keysets).await;
        let all = Keysets::new(infos, keysets).with_newer(has_newer);
        match failure {
            Some(error) if all.for_outputs(unix_now()).is_none() => Err(error),
            Some(error) => {
                tracing::warn!(%error, "one of the mint's keysets can't be used");
                Ok(all)
            }
            None => Ok(all),
        }
    }

    /// Adds the keys of a keyset that is listed to what is known.
    async fn learn(&self, id: Id) -> Result<Arc<Keysets>, Unavailable> {
        let _one_at_a_time = self.learning.lock().await;
        if let Some(known) = self.lock().keysets.clone().filter(|known| known.keys(&id).is_some()) {
            return Ok(known);
        }
        if let Some(error) = self.lock().lately_without_keys(id) {
            return Err(error);
        }
        let learnt = match self.keys_of(id).await {
            Ok(keyset) => self.add(keyset.clone()).map(|keysets| (keysets, keyset)),
            Err(error) => Err(error),
        };
        let (keysets, keyset) = learnt.inspect_err(|error| {
            self.lock().without_keys.insert(id, (Instant::now(), error.clone()));
        })?;
        self.keep(&[], &[keyset]).await;
        Ok(keysets)
    }

    fn add(&self, keyset: KeySet) -> Result<Arc<Keysets>, Unavailable> {
        let (mut known, id) = (self.lock(), keyset.id);
        let mut keysets = known.keysets.as_deref().cloned().unwrap_or_default();
        if !keysets.add(keyset) {
            return Err(self.unavailable(format!("the keys of its keyset {id} do not make up that id")));
        }
        let keysets = Arc::new(keysets);
        known.keysets = Some(keysets.clone());
        Ok(keysets)
    }

    async fn keys_of(&self, id: Id) -> Result<KeySet, Unavailable> {
        let found = self.call(|api| api.keyset(id)).await?;
        found.map_err(|word| self.unavailable(format!("no keys of its keyset {id}: {}", word.text())))
    }

    /// Asks whether the mint enforces locks, where that matters (NUT-06). If it gives no answer, what it said before holds.
    async fn ask_of_locks(&self) {
        if !self.locked {
            return;
        }
        let told = match self.call(|api| api.info()).await {
            Ok(Ok(told)) => told,
            Ok(Err(word)) => {
                return tracing::warn!(mint = %self.url, reason = word.text(), "the mint says nothing about itself");
            }
            Err(error) => return tracing::warn!(%error, "the mint says nothing about itself"),
        };
        let does = told["nuts"]["11"]["supported"] == true;
        let before = self.lock().enforces_locks.replace(does);
        if !does && before != Some(false) {
            tracing::error!(
                mint = %self.url,
                "the mint does not enforce locks (NUT-11): its ecash is not taken while CASHU_P2PK_MODE is on"
            );
        }
        if before != Some(does)
            && let Err(error) = self.record.keep_enforces_locks(self.url.to_string(), does).await
        {
            tracing::warn!(mint = %self.url, %error, "what the mint says of locks can't be kept");
        }
    }

    /// Keeps what was learnt, for the wallet and for the next start. If that fails the mint is asked again then.
    async fn keep(&self, infos: &[KeySetInfo], keysets: &[KeySet]) {
        let keep = async {
            self.wallet.add_mint(self.url.clone(), None).await?;
            self.wallet.add_mint_keysets(self.url.clone(), infos.to_vec()).await?;
            for keyset in keysets {
                if self.wallet.get_keys(&keyset.id).await?.is_none() {
                    self.wallet.add_keys(keyset.clone()).await?;
                }
            }
            Ok::<_, cdk::cdk_database::Error>(())
        };
        if let Err(error) = keep.await {
            tracing::warn!(mint = %self.url, %error, "the mint's keysets can't be kept in the ecash wallet");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing that holds it can leave it half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keysets in sat of a list that can be read, and whether there are active ones among the others whose ids are of a version
/// that is not understood here.
fn readable(listed: &[Value]) -> (Vec<KeySetInfo>, bool) {
    let in_sat = listed.iter().filter(|keyset| keyset["unit"] == "sat");
    let (mut infos, mut has_newer) = (Vec::new(), false);
    for keyset in in_sat {
        match serde_json::from_value::<KeySetInfo>(keyset.clone()) {
            Ok(info) => infos.push(info),
            Err(_) => {
                let version = keyset["id"].as_str().and_then(|id| u8::from_str_radix(id.get(..2)?, 16).ok());
                has_newer |= keyset["active"] == true && version.is_some_and(|version| version > 1);
            }
        }
    }
    (infos, has_newer)
}

fn with_keys(info: &KeySetInfo, keys: Keys) -> KeySet {
    KeySet {
        id: info.id,
        unit: info.unit.clone(),
        active: Some(info.active),
        keys,
        input_fee_ppk: info.input_fee_ppk,
        final_expiry: info.final_expiry,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keysets_of_another_unit_or_a_newer_version_are_left_out() {
        let list = [
            json!({"id": "009a1f293253e41e", "unit": "sat", "active": true, "input_fee_ppk": 0}),
            json!({"id": "009a1f293253e41f", "unit": "usd", "active": true}),
            json!({"id": "sats", "unit": "sat", "active": true}),
            json!(null),
        ];
        let (infos, has_newer) = readable(&list);
        assert_eq!((infos.len(), has_newer), (1, false));
        for (active, expected) in [(true, true), (false, false)] {
            let newer = json!({"id": format!("02{}", "ab".repeat(32)), "unit": "sat", "active": active});
            assert_eq!(readable(&[newer]), (Vec::new(), expected));
        }
    }
}
