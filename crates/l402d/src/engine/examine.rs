//! How a backend is, for the operator who asks.

use super::{Engine, Failure};
use crate::doctor;

impl Engine {
    /// How many backends there are, and the report on the one of this number in the order of their names, as JSON; empty
    /// where there is none. Its connection is the one that sells.
    ///
    /// # Errors
    /// A fault of ours.
    pub async fn examine(&self, number: u32) -> Result<(u32, String), Failure> {
        let mut names: Vec<_> = self.backends.keys().collect();
        names.sort();
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let Some(name) = usize::try_from(number).ok().and_then(|number| names.get(number)) else {
            return Ok((count, String::new()));
        };
        let report = doctor::examine(name, self.backend(name)?.lightning.as_ref()).await;
        let report = serde_json::to_string(&report).map_err(|error| Failure::internal(error.to_string()))?;
        Ok((count, report))
    }
}
