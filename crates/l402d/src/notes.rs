//! Where wallets keep their notes: in the store.

use std::{sync::Arc, time::Duration};

use l402::PaymentHash;
use lightning::{LightningError, Reply};
use store::StoreError;

/// The store, as wallets see it.
pub struct Notes(pub Arc<dyn store::Notes>);

impl lightning::Notes for Notes {
    fn keep(&self, hash: PaymentHash, note: String) -> Reply<'_, ()> {
        Box::pin(async move { self.0.note_put(hash.0, note).await.map_err(|error| failed(&error)) })
    }

    fn find(&self, hash: PaymentHash) -> Reply<'_, Option<String>> {
        Box::pin(async move { self.0.note_get(hash.0).await.map_err(|error| failed(&error)) })
    }
}

fn failed(error: &StoreError) -> LightningError {
    LightningError::Unavailable { text: error.to_string(), retry_after: Duration::from_secs(1) }
}
