//! A BOLT12 offer of a Core Lightning node: its settings.
use super::cln::{CLN_REST_ADDRESS, CLN_REST_CERTIFICATE, CLN_RPC_FILE, CLN_RUNE, ClnSettings};
use super::source::Source;
use crate::pairs::Taking;
use crate::{Kind, Setting, value};

/// An offer, and the node that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bolt12Settings {
    /// The node.
    pub cln: ClnSettings,
    /// `lno1…`, in one piece.
    pub offer: String,
}

/// What a block of this kind takes besides what all take.
pub(super) const KEYS: &[&Setting] =
    &[&BOLT12_OFFER, &CLN_RPC_FILE, &CLN_REST_ADDRESS, &CLN_RUNE, &CLN_REST_CERTIFICATE];

impl Bolt12Settings {
    pub(super) fn build(source: &mut Source<'_>) -> Option<Self> {
        let offer = source.required(&BOLT12_OFFER, value::offer);
        let cln = ClnSettings::build(source);
        Some(Self { cln: cln?, offer: offer? })
    }

    pub(super) fn write(&self, pair: &mut dyn FnMut(&Setting, &[u8])) {
        pair(&BOLT12_OFFER, self.offer.as_bytes());
        self.cln.write(pair);
    }

    pub(super) fn read(pairs: &mut Taking<'_, '_>) -> Option<Self> {
        let offer = pairs.required(&BOLT12_OFFER, value::utf8);
        let cln = ClnSettings::read(pairs);
        Some(Self { cln: cln?, offer: offer? })
    }
}

/// `BOLT12_OFFER`
pub static BOLT12_OFFER: Setting = Setting {
    key: "bolt12.offer",
    env: Some("BOLT12_OFFER"),
    directive: None,
    block_key: Some("offer"),
    kind: Kind::Offer,
    default: "",
    why: "None: it is required.",
    doc: "The offer that is paid, made by the node itself: each challenge's invoice is fetched for it \
          ([how](../guides/bolt12.md)). One for any amount serves every price.",
    example: "lno1pgzyuethwvtzzqnehen8a7wuhwk9tgrzjh8gwzc8q2dlekedec5djk0js9d3d7qhnq",
};
