//! What the wallet says that it can do: its info event (kind 13194, NIP-47).

use nostr::event::Event;

/// How requests are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// NIP-44, version 2.
    Nip44,
    /// NIP-04, deprecated; of wallets that know nothing else.
    Nip04,
}

impl Encryption {
    /// Its name in an `encryption` tag.
    pub(super) fn name(self) -> &'static str {
        match self {
            Encryption::Nip44 => "nip44_v2",
            Encryption::Nip04 => "nip04",
        }
    }
}

/// A method of NIP-47 that is used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Method {
    MakeInvoice,
    LookupInvoice,
    GetInfo,
}

impl Method {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::MakeInvoice => "make_invoice",
            Method::LookupInvoice => "lookup_invoice",
            Method::GetInfo => "get_info",
        }
    }
}

/// What an info event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info {
    /// When the wallet wrote it, Unix seconds by its clock.
    pub(super) created_at: u64,
    encryptions: Vec<String>,
    methods: Vec<String>,
    notifications: Vec<String>,
}

impl Info {
    /// Reads an event that is proven to be the wallet's.
    pub(super) fn of(event: &Event) -> Info {
        let tag = |name: &str| {
            let values = event.tags.iter().filter(|tag| tag.kind() == name);
            let values = values.flat_map(|tag| tag.as_slice().iter().skip(1));
            let values: Vec<String> = values.flat_map(|value| words(value)).collect();
            Some(values).filter(|values| !values.is_empty())
        };
        Info {
            created_at: event.created_at.as_secs(),
            // No such tag: a wallet from before there was a choice.
            encryptions: tag("encryption").unwrap_or_else(|| vec![Encryption::Nip04.name().to_owned()]),
            methods: words(&event.content).collect(),
            notifications: tag("notifications").unwrap_or_default(),
        }
    }

    /// What is assumed of a wallet whose info event no relay has. Its encryption is found out by trying.
    pub(super) fn assumed() -> Info {
        Info {
            created_at: 0,
            encryptions: Vec::new(),
            methods: [Method::MakeInvoice, Method::LookupInvoice]
                .map(|method| method.name().to_owned())
                .to_vec(),
            notifications: Vec::new(),
        }
    }

    /// The encryption to use: NIP-44 wherever the wallet knows it, wherever in its list. `Err` holds the wallet's list.
    pub(super) fn encryption(&self) -> Result<Encryption, String> {
        [Encryption::Nip44, Encryption::Nip04]
            .into_iter()
            .find(|known| self.encryptions.iter().any(|name| name == known.name()))
            .ok_or_else(|| self.encryptions.join(" "))
    }

    /// Whether no relay had it.
    pub(super) fn is_assumed(&self) -> bool {
        self.encryptions.is_empty()
    }

    /// Whether another one says nothing else, apart from its date.
    pub(super) fn says_the_same(&self, other: &Info) -> bool {
        Info { created_at: 0, ..self.clone() } == Info { created_at: 0, ..other.clone() }
    }

    /// Whether the wallet takes this method on this connection.
    pub(super) fn can(&self, method: Method) -> bool {
        self.methods.iter().any(|name| name == method.name())
    }

    /// Whether it tells of payments by itself.
    pub(super) fn pushes(&self) -> bool {
        self.notifications.iter().any(|name| name == "payment_received")
    }
}

/// Lists are separated by spaces; some wallets write commas.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use nostr::event::{EventBuilder, FinalizeEvent, Kind, Tag};
    use nostr::key::Keys;

    use super::*;

    fn info(content: &str, tags: &[(&str, &str)]) -> Info {
        let tags = tags.iter().map(|(name, value)| Tag::custom(*name, [*value]));
        let event = EventBuilder::new(Kind::WalletConnectInfo, content).tags(tags);
        Info::of(&event.finalize(&Keys::generate()).unwrap())
    }

    #[test]
    fn encryption_is_chosen_by_membership() {
        for (tag, want) in [
            (Some("nip44_v2 nip04"), Ok(Encryption::Nip44)),
            (Some("nip04 nip44_v2"), Ok(Encryption::Nip44)),
            (Some("nip04 nip99 nip44_v2"), Ok(Encryption::Nip44)),
            (Some("nip44_v2"), Ok(Encryption::Nip44)),
            (Some("nip04"), Ok(Encryption::Nip04)),
            (Some("nip44"), Err("nip44".to_owned())),
            (Some(""), Ok(Encryption::Nip04)),
            (None, Ok(Encryption::Nip04)),
        ] {
            let tags: Vec<_> = tag.map(|tag| ("encryption", tag)).into_iter().collect();
            assert_eq!(info("make_invoice", &tags).encryption(), want, "{tag:?}");
        }
    }

    #[test]
    fn methods_and_notifications() {
        let all = info(
            "pay_invoice make_invoice lookup_invoice notifications",
            &[("notifications", "payment_received payment_sent")],
        );
        assert!(all.can(Method::MakeInvoice) && all.can(Method::LookupInvoice) && !all.can(Method::GetInfo));
        assert!(all.pushes());
        let little = info("make_invoice_later", &[("notifications", "payment_sent")]);
        assert!(!little.can(Method::MakeInvoice) && !little.pushes());
    }
}
