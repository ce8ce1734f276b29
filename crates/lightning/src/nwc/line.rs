//! What is known of one relay: whether it is reached, and what it said in place of doing what it was asked.

use std::collections::HashSet;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::session::{Subscription, WHO};
use crate::LightningError;

/// One relay of a connection, as it is known.
pub(super) struct Relay {
    /// Its address.
    pub(super) url: String,
    /// Whether it is reached.
    pub(super) line: Line,
    /// When it last said something.
    pub(super) heard: Option<Instant>,
    /// Calls in a row during which it said nothing.
    pub(super) silent: u32,
    /// From when on its notifications matter, Unix seconds.
    pub(super) since: u64,
}

/// The way to a relay.
pub(super) enum Line {
    Connecting,
    Up {
        frames: mpsc::Sender<String>,
        /// Whether it has sent what it has of the wallet's info.
        told: bool,
        /// The subscriptions that it ended.
        closed: HashSet<Subscription>,
        /// What it said last in place of doing what it was asked.
        complaint: Option<String>,
        /// Why it does not take our word for who we are.
        denied: Option<String>,
    },
    Down {
        until: Instant,
        error: LightningError,
    },
}

impl Line {
    /// What is behind a relay's reason: one that asks again who we are has said why it does not believe us.
    pub(super) fn reason(&self, said: &str) -> String {
        match self {
            Line::Up { denied: Some(denied), .. } if said.starts_with(WHO) => denied.clone(),
            Line::Up { .. } | Line::Connecting | Line::Down { .. } => said.to_owned(),
        }
    }
}
