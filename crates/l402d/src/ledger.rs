//! Where hosts tell each other which ecash they took: in the store that they share.

use std::{sync::Arc, time::Duration};

use ecash::{Entered, LedgerFuture};

/// The store, as the till sees it.
pub struct Ledger(pub Arc<dyn store::Ledger>);

impl ecash::Ledger for Ledger {
    fn enter<'a>(
        &'a self,
        pieces: &'a [String],
        note: &'a str,
        keep: Option<Duration>,
    ) -> LedgerFuture<'a, Entered> {
        Box::pin(async move {
            match self.0.enter(pieces, note, keep).await {
                Ok(store::Entered::New) => Ok(Entered::New),
                Ok(store::Entered::Known(note)) => Ok(Entered::Known(note)),
                Ok(store::Entered::Mixed) => Ok(Entered::Mixed),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    fn confirm<'a>(
        &'a self,
        pieces: &'a [String],
        note: &'a str,
        keep: Option<Duration>,
    ) -> LedgerFuture<'a, ()> {
        Box::pin(async move { self.0.confirm(pieces, note, keep).await.map_err(|error| error.to_string()) })
    }

    fn withdraw<'a>(&'a self, pieces: &'a [String], note: &'a str) -> LedgerFuture<'a, ()> {
        Box::pin(async move { self.0.withdraw(pieces, note).await.map_err(|error| error.to_string()) })
    }
}
