//! Whether an event is what a subscription asked for (NIP-01).

use nostr::event::Event;
use serde_json::Value;

/// Whether one of a subscription's filters matches. What a filter names that is not known here does not match.
pub(super) fn matches_any(filters: &[Value], event: &Event) -> bool {
    filters.iter().filter_map(Value::as_object).any(|filter| {
        filter.iter().all(|(name, wanted)| match name.as_str() {
            "ids" => has(wanted, &event.id.to_hex()),
            "authors" => has(wanted, &event.pubkey.to_hex()),
            "kinds" => wanted.as_array().is_some_and(|kinds| kinds.contains(&event.kind.as_u16().into())),
            "since" => wanted.as_u64().is_some_and(|since| event.created_at.as_secs() >= since),
            "until" => wanted.as_u64().is_some_and(|until| event.created_at.as_secs() <= until),
            "limit" => true,
            _ => match name.strip_prefix('#') {
                Some(tag) => event.tags.iter().any(|found| {
                    found.kind() == tag && found.content().is_some_and(|value| has(wanted, value))
                }),
                None => false,
            },
        })
    })
}

/// Whether some filter asks for events of this kind.
pub(super) fn asks_for(filters: &[Value], kind: u16) -> bool {
    filters.iter().any(|filter| {
        filter.get("kinds").and_then(Value::as_array).is_some_and(|kinds| kinds.contains(&kind.into()))
    })
}

fn has(wanted: &Value, value: &str) -> bool {
    wanted.as_array().is_some_and(|wanted| wanted.iter().any(|wanted| wanted.as_str() == Some(value)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use nostr::event::{EventBuilder, FinalizeEvent, Kind, Tag};
    use nostr::key::Keys;
    use nostr::types::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_condition_counts() {
        let (author, other) = (Keys::generate(), Keys::generate().public_key());
        let event = EventBuilder::new(Kind::WalletConnectRequest, "").tag(Tag::public_key(other));
        let event = event.custom_created_at(Timestamp::from(1000)).finalize(&author).unwrap();
        let author = author.public_key().to_hex();
        let all = json!({
            "authors": [author], "kinds": [1, 23194], "#p": [other.to_hex()], "since": 1000, "until": 1000, "limit": 1
        });
        assert!(matches_any(std::slice::from_ref(&all), &event) && matches_any(&[json!({})], &event));
        for (name, value) in [
            ("authors", json!([other.to_hex()])),
            ("kinds", json!([1])),
            ("#p", json!([author])),
            ("#e", json!([author])),
            ("since", json!(1001)),
            ("until", json!(999)),
            ("ids", json!([author])),
            ("search", json!("x")),
        ] {
            let mut filter = all.clone();
            filter[name] = value;
            assert!(!matches_any(&[filter.clone()], &event), "{name}");
            assert!(matches_any(&[filter, all.clone()], &event), "one of several is enough");
        }
        assert!(asks_for(&[all], 23194) && !asks_for(&[json!({})], 23194));
    }
}
