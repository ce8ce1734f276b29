//! May this client be challenged once more?

use std::time::Duration;

use agent_api::{Fault, Rate};
use store::Taken;

use super::{Engine, Failure, failure::whole_seconds};

impl Engine {
    /// Takes one challenge of what a client may have.
    ///
    /// # Errors
    /// [`Fault::Limited`]: it has had them all.
    pub async fn admit(&self, rate: &Rate) -> Result<(), Failure> {
        let window = Duration::from_secs(rate.window_s.into());
        match self.store.rate_take(&rate.key, store::Rate { limit: rate.limit, window }).await {
            Taken::Passed => Ok(()),
            Taken::Limited { retry_after } => Err(Failure {
                fault: Fault::Limited { retry_after_s: whole_seconds(retry_after) },
                reason: String::new(),
            }),
        }
    }
}
