//! Core Lightning's front doors: lightningd's socket and clnrest, over the shared ledger.

mod calls;
mod rest;
mod rune;
mod socket;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::call::ConnectionId;
use crate::ledger::Hash32;
use crate::world::World;

pub(crate) use rest::Rest;
pub(crate) use socket::serve;

/// A CLN node: what it knows besides the ledger.
pub(crate) struct Cln {
    world: Arc<World>,
    labels: Mutex<HashMap<String, Hash32>>,
    rune_secret: [u8; 32],
}

/// An error as lightningd answers it.
#[derive(Debug)]
pub(crate) struct RpcError {
    code: i64,
    message: String,
}

impl RpcError {
    fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl Cln {
    pub(crate) fn new(world: Arc<World>, rune_secret: [u8; 32]) -> Self {
        Self { world, labels: Mutex::default(), rune_secret }
    }

    /// A rune with these restrictions.
    pub(crate) fn rune(&self, restrictions: &[&[&str]]) -> String {
        rune::make(&self.rune_secret, restrictions)
    }

    /// One call.
    async fn call(
        &self,
        connection: Option<ConnectionId>,
        method: &str,
        params: &Value,
    ) -> Result<Value, RpcError> {
        calls::call(self, connection, method, params).await
    }

    fn labels(&self) -> MutexGuard<'_, HashMap<String, Hash32>> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
