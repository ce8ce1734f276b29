//! Whether an invoice names private channels: payers find no way to a node that has no public one otherwise.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use settings::RouteHints;
use tokio::time::Instant;

use super::api::{Api, Call};
use crate::judgement::{Fact, Remark};

/// How many channels an invoice names: each makes it 80 letters longer.
const MOST_HINTS: usize = 3;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Channels {
    /// Whether the node said.
    known: bool,
    /// Whether there is a public one.
    public: bool,
    /// The ids of some private ones that can be used.
    private: Vec<String>,
}

impl Hints {
    pub(super) fn new(choice: RouteHints) -> Hints {
        Hints { choice, known: Mutex::default() }
    }

    /// The private channels to name, with commas between, and what is to be said of that.
    pub(super) async fn wanted(&self, api: &Api, deadline: Instant) -> (String, Option<Remark>) {
        let channels = match self.choice {
            RouteHints::Off => return (String::new(), None),
            RouteHints::Auto | RouteHints::On => self.channels(api, deadline).await,
        };
        if channels.public && self.choice == RouteHints::Auto {
            return (String::new(), None);
        }
        (channels.private.join(","), self.of(&channels))
    }

    /// What an operator should know of the node's channels.
    pub(super) async fn remark(&self, api: &Api, deadline: Instant) -> Option<Remark> {
        self.of(&self.channels(api, deadline).await)
    }

    fn of(&self, channels: &Channels) -> Option<Remark> {
        let text = match (channels.known, channels.public, channels.private.is_empty()) {
            (true, false, true) => {
                "the node has no channel that is in use, so that nobody can pay it: open one with incoming capacity"
            }
            (true, false, false) if self.choice == RouteHints::Off => {
                "the node has private channels only and route_hints is off, so that payers find no way to it: set \
                 route_hints to auto"
            }
            _ => return None,
        };
        Some(Remark::new(Fact::RouteHints, text))
    }

    async fn channels(&self, api: &Api, deadline: Instant) -> Channels {
        if let Some((until, channels)) = &*self.known.lock().unwrap_or_else(PoisonError::into_inner)
            && Instant::now() < *until
        {
            return channels.clone();
        }
        let listed =
            api.call::<Vec<Value>>(Call::Channels, &[], deadline.min(Instant::now() + PATIENCE)).await;
        let (channels, good_for) = match listed {
            Ok(listed) => (of(&listed), KNOWN),
            // Also a list that is too long to be read: a node with that many channels has a public one.
            Err(_) => (Channels::default(), UNANSWERED),
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now() + good_for, channels.clone()));
        channels
    }
}

fn of(listed: &[Value]) -> Channels {
    let in_use = || listed.iter().filter(|channel| channel["state"] == "NORMAL");
    let announced = |channel: &Value| is_announced(&channel["data"]["commitments"]).unwrap_or(true);
    let private = in_use().filter(|channel| !announced(channel));
    let ids = private.filter_map(|channel| channel["channelId"].as_str()).map(str::to_owned);
    Channels { known: true, public: in_use().any(announced), private: ids.take(MOST_HINTS).collect() }
}

/// `channelFlags.announceChannel`: within `channelParams` (0.12 and later), `params` (0.9 and later), or itself.
fn is_announced(commitments: &Value) -> Option<bool> {
    let places = [&commitments["channelParams"], &commitments["params"], commitments];
    places.iter().find_map(|place| place["channelFlags"]["announceChannel"].as_bool())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn channels_of_all_releases() {
        let channel = |id: &str, state: &str, commitments: Value| json!({ "channelId": id, "state": state, "data": { "commitments": commitments } });
        let flags = |announced: bool| json!({ "channelFlags": { "announceChannel": announced } });
        for commitments in
            [flags(false), json!({ "params": flags(false) }), json!({ "channelParams": flags(false) })]
        {
            let found = of(&[channel("aa", "NORMAL", commitments)]);
            assert_eq!(found, Channels { known: true, public: false, private: vec!["aa".to_owned()] });
        }
        assert!(of(&[channel("aa", "NORMAL", flags(true))]).public);
        assert_eq!(of(&[channel("aa", "OFFLINE", flags(false))]).private, Vec::<String>::new());
        let many: Vec<_> = (0..9).map(|n| channel(&n.to_string(), "NORMAL", flags(false))).collect();
        assert_eq!(of(&many).private.len(), MOST_HINTS);
        assert!(of(&[channel("aa", "NORMAL", json!({}))]).public, "what is not understood is left alone");
    }
}
