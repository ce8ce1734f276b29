//! What a scenario knows of a backend, whatever its kind.

use lnsim::Sim;

use super::node::Node;

/// What is written for a backend, as keys of a block or a table.
pub type Keys = Vec<(&'static str, String)>;

/// A backend that receives, and somebody who can pay it.
pub trait Wallet: Send + Sync {
    /// The variables of the environment that define it, `LN_CLIENT_TYPE` among them.
    fn environment(&self) -> Keys;

    /// The keys of an `l402_backend` block or a table that define it, `type` among them.
    fn keys(&self) -> Keys;

    /// As [`Wallet::keys`], with credentials that are well-formed and not accepted; `None` where there are none to have.
    fn keys_not_accepted(&self) -> Option<Keys>;

    /// What no log may ever hold.
    fn secrets(&self) -> Vec<String>;

    /// Pays and returns the preimage in hex.
    fn pay(&self, invoice: &str) -> Result<String, String>;

    /// Cancels an unpaid invoice, by its payment hash in hex.
    fn cancel(&self, hash: &str) -> Result<(), String>;

    /// The simulator's controls; a real node has none.
    fn sim(&self) -> Option<&Sim>;

    /// A code for [`lnsim::Fault::refuse`] that stands for a refusal in this kind's protocol.
    fn refusal(&self) -> i32;

    /// Whether it can say if an invoice is paid.
    fn looks_up(&self) -> bool {
        true
    }

    /// Whether it tells of payments by itself.
    fn pushes(&self) -> bool {
        true
    }

    /// Whether it can take an invoice back.
    fn cancels(&self) -> bool {
        true
    }

    /// The BOLT12 offer that each of its invoices is of.
    fn offer(&self) -> Option<&str> {
        None
    }

    /// The node that it is, for scenarios that are about LND.
    fn as_node(&self) -> Option<&dyn Node> {
        None
    }
}

/// An `l402_backend` block.
pub fn block(name: &str, keys: &[(&'static str, String)], more: &str) -> String {
    let lines: String = keys.iter().map(|(key, value)| format!("{key} \"{value}\"; ")).collect();
    format!("l402_backend {name} {{ {lines}{more} }}")
}
