//! LND through Lightning Node Connect: its settings.
use super::source::Source;
use crate::pairs::Taking;
use crate::{Kind, ROUTE_HINTS, Secret, Setting, files, value};

/// The mailbox of Lightning Labs, which nodes use unless told otherwise.
pub const DEFAULT_MAILBOX: &str = "mailbox.terminal.lightning.today:443";

/// How an LND is reached through a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LncSettings {
    /// The ten words that the node showed, in lower case with single spaces.
    pub phrase: Secret<String>,
    /// `host:port`, perhaps with `wss://` or `grpcs://` before it.
    pub mailbox: String,
    /// What to trust as the mailbox instead of the system's authorities, in PEM form.
    pub certificate: Option<Vec<u8>>,
}

/// What a block of this kind takes besides what all take.
pub(super) const KEYS: &[&Setting] =
    &[&LNC_PAIRING_PHRASE, &LNC_MAILBOX_SERVER, &LNC_MAILBOX_CERT, &ROUTE_HINTS];

impl LncSettings {
    pub(super) fn build(source: &mut Source<'_>) -> Option<Self> {
        let phrase = source.required(&LNC_PAIRING_PHRASE, value::pairing_phrase);
        let mailbox = source.optional(&LNC_MAILBOX_SERVER, value::mailbox);
        let certificate = match source.found(&LNC_MAILBOX_CERT) {
            Some(_) => source.content(&LNC_MAILBOX_CERT, files::certificate),
            None => None,
        };
        let mailbox = mailbox.unwrap_or_else(|| DEFAULT_MAILBOX.to_owned());
        Some(Self { phrase: Secret::new(phrase?), mailbox, certificate })
    }

    pub(super) fn write(&self, pair: &mut dyn FnMut(&Setting, &[u8])) {
        pair(&LNC_PAIRING_PHRASE, self.phrase.expose().as_bytes());
        pair(&LNC_MAILBOX_SERVER, self.mailbox.as_bytes());
        if let Some(certificate) = &self.certificate {
            pair(&LNC_MAILBOX_CERT, files::to_hex(certificate).as_bytes());
        }
    }

    pub(super) fn read(pairs: &mut Taking<'_, '_>) -> Option<Self> {
        let phrase = pairs.required(&LNC_PAIRING_PHRASE, |value| value::utf8(value).map(Secret::new));
        let mailbox = pairs.required(&LNC_MAILBOX_SERVER, value::utf8);
        let certificate = pairs.optional(&LNC_MAILBOX_CERT, files::from_hex);
        Some(Self { phrase: phrase?, mailbox: mailbox?, certificate })
    }
}

/// `LNC_PAIRING_PHRASE`
pub static LNC_PAIRING_PHRASE: Setting = Setting {
    key: "lnc.pairing_phrase",
    env: Some("LNC_PAIRING_PHRASE"),
    directive: None,
    block_key: Some("pairing_phrase"),
    kind: Kind::PairingPhrase,
    default: "",
    why: "None: it is required.",
    doc: "The ten words of a Lightning Node Connect session that was made on the node, in quotes. They pair once: \
          after that l402d is known to the node by a key, which it keeps in the state directory. A session that \
          may call AddInvoice, LookupInvoice and SubscribeInvoices is enough. See \
          [the guide](../guides/lnc.md).",
    example: "\"letter advice cage absurd amount doctor acoustic avoid letter zoo\"",
};

/// `LNC_MAILBOX_SERVER`
pub static LNC_MAILBOX_SERVER: Setting = Setting {
    key: "lnc.mailbox",
    env: Some("LNC_MAILBOX_SERVER"),
    directive: None,
    block_key: Some("mailbox"),
    kind: Kind::Mailbox,
    default: DEFAULT_MAILBOX,
    why: "The mailbox of Lightning Labs, which litd uses too unless told otherwise.",
    doc: "The mailbox that the session goes through: the one that it was made for on the node. The port is 443 if \
          none is written. WebSocket is spoken (`wss://`), or gRPC with `grpcs://` in front. A mailbox sees who \
          talks when and how much, not what.",
    example: "mailbox.example:443",
};

/// `LNC_MAILBOX_CERT`
pub static LNC_MAILBOX_CERT: Setting = Setting {
    key: "lnc.mailbox_cert",
    env: Some("LNC_MAILBOX_CERT"),
    directive: None,
    block_key: Some("mailbox_cert"),
    kind: Kind::CertificateFile,
    default: "",
    why: "None: the system's certificate authorities vouch for the mailbox.",
    doc: "A file of certificates in PEM form that are trusted as the mailbox, instead of the system's authorities: \
          for a mailbox of your own. TLS is always verified.",
    example: "/etc/l402/mailbox.pem",
};
