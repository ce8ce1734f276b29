//! Whether an invoice names private channels: payers find no way to a node that has no public one otherwise.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lnd_rpc::lnrpc::Channel;
use settings::RouteHints;
use tokio::time::Instant;

use super::LndNode;
use crate::LightningError;
use crate::judgement::{Fact, Remark};

/// How long what the channels said is taken as known: channels are opened and closed rarely.
const KNOWN: Duration = Duration::from_secs(600);

/// How long a node that did not answer is not asked again: no invoice waits for it meanwhile.
const UNANSWERED: Duration = Duration::from_secs(30);

/// How long an invoice waits for the list of channels.
const PATIENCE: Duration = Duration::from_secs(2);

/// The operator's choice, and what the node's channels said last.
pub(super) struct Hints {
    choice: RouteHints,
    /// And until when that is good.
    known: Mutex<Option<(Instant, Channels)>>,
}

/// What the node's channels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channels {
    /// There is a public one.
    Public,
    /// There are private ones only.
    Private,
    /// There is none.
    None,
    /// The macaroon may not list them.
    Hidden,
    /// The node did not answer.
    Unknown,
}

impl Hints {
    pub(super) fn new(choice: RouteHints) -> Hints {
        Hints { choice, known: Mutex::default() }
    }

    /// Whether LND is to name private channels (`private=true` names none of the public ones), and what is to be said of
    /// that.
    pub(super) async fn wanted(&self, node: &LndNode, deadline: Instant) -> (bool, Option<Remark>) {
        match self.choice {
            RouteHints::On => (true, None),
            RouteHints::Off => (false, None),
            RouteHints::Auto => match self.channels(node, deadline).await {
                Channels::Public => (false, None),
                Channels::Private | Channels::None | Channels::Unknown => (true, None),
                Channels::Hidden => (true, Some(hidden())),
            },
        }
    }

    /// What an operator should know of the node's channels.
    pub(super) async fn remark(&self, node: &LndNode, deadline: Instant) -> Option<Remark> {
        let text = match (self.channels(node, deadline).await, self.choice) {
            (Channels::None, _) => {
                "the node has no channel, so that nobody can pay it: open one with incoming capacity"
            }
            (Channels::Private, RouteHints::Off) => {
                "the node has private channels only and route_hints is off, so that payers find no way to it: set \
                 route_hints to auto"
            }
            (Channels::Hidden, RouteHints::Auto) => return Some(hidden()),
            (Channels::Private | Channels::Public | Channels::Hidden | Channels::Unknown, _) => return None,
        };
        Some(Remark::new(Fact::RouteHints, text))
    }

    async fn channels(&self, node: &LndNode, deadline: Instant) -> Channels {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, channels)) = known
            && Instant::now() < until
        {
            return channels;
        }
        let (channels, good_for) = match node.channels(deadline.min(Instant::now() + PATIENCE)).await {
            Ok(listed) => (of(&listed), KNOWN),
            Err(LightningError::Refused(_)) => (Channels::Hidden, KNOWN),
            Err(_) => (Channels::Unknown, UNANSWERED),
        };
        let until = Instant::now() + good_for;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((until, channels));
        channels
    }
}

/// A public one whose peer is away counts: payers know it, and it comes back.
fn of(listed: &[Channel]) -> Channels {
    match listed {
        [] => Channels::None,
        some if some.iter().all(|channel| channel.private) => Channels::Private,
        _ => Channels::Public,
    }
}

fn hidden() -> Remark {
    let text = "the macaroon may not list the node's channels (offchain:read), so its invoices name private channels in any \
                case, three at most; bake one that may, or set route_hints to on or off";
    Remark::new(Fact::RouteHints, text)
}
