//! Ecash (Cashu): its records, and what they come to.
use crate::pairs::Taken;
use crate::payout::{CASHU_REDEEM_ON_LIGHTNING, CASHU_TOKEN_TTL, PayoutSettings, number};
use crate::source::{Found, Layers};
use crate::{Complaint, Kind, Read, Secret, Setting, files, value};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Default of `CASHU_MAX_HELD_SATS`.
pub const DEFAULT_MAX_HELD_SAT: u64 = 100_000;

/// `CASHU_ECASH_SUPPORT`
pub static CASHU_ECASH_SUPPORT: Setting = Setting {
    key: "cashu_ecash_support",
    env: Some("CASHU_ECASH_SUPPORT"),
    directive: None,
    block_key: None,
    kind: Kind::Flag,
    default: "off",
    why: "Taking ecash means to trust the mints that it is of.",
    doc: "Takes ecash (Cashu) besides Lightning payments, at every location that sells: a 402 carries a payment \
          request in `X-Cashu` beside the L402 challenge, and a request with a token in `X-Cashu` is served. \
          `CASHU_WHITELISTED_MINTS` is required with it. [How it works](../guides/cashu.md).",
    example: "on",
};

/// `CASHU_WHITELISTED_MINTS`
pub static CASHU_WHITELISTED_MINTS: Setting = Setting {
    key: "cashu_whitelisted_mints",
    env: Some("CASHU_WHITELISTED_MINTS"),
    directive: None,
    block_key: None,
    kind: Kind::Mints,
    default: "",
    why: "None: it is required where ecash is taken. Ecash is worth what its mint is worth, and anyone can run one.",
    doc: "The mints whose ecash is taken, their addresses with commas between them. Ecash of any other mint is refused, and \
          no other mint is ever connected to, whatever a token says.",
    example: "https://mint.example.com,https://other.example.org/Bitcoin",
};

/// `CASHU_P2PK_MODE`
pub static CASHU_P2PK_MODE: Setting = Setting {
    key: "cashu_p2pk_mode",
    env: Some("CASHU_P2PK_MODE"),
    directive: None,
    block_key: None,
    kind: Kind::Flag,
    default: "off",
    why: "Plain ecash is what every wallet can send.",
    doc: "Takes only ecash that is locked to our key (NUT-11). It is verified without its mint, since nobody else can spend \
          it, and redeemed in the background: no round trip, and sales go on while a mint is down. \
          `CASHU_P2PK_PRIVATE_KEY` is required with it. Hosts that share the key must share Redis too (`REDIS_URL`), or each \
          takes the same token. Off, a token is swapped at its mint before it counts.",
    example: "on",
};

/// `CASHU_P2PK_PRIVATE_KEY`
pub static CASHU_P2PK_PRIVATE_KEY: Setting = Setting {
    key: "cashu_p2pk_private_key",
    env: Some("CASHU_P2PK_PRIVATE_KEY"),
    directive: None,
    block_key: None,
    kind: Kind::PrivateKey,
    default: "",
    why: "None: it is required in P2PK mode.",
    doc: "The private key that ecash is to be locked to. Who knows it can take ecash that is not redeemed yet. Keep the former \
          one in place until everything is redeemed: another key can't spend what was locked to this one.",
    example: "\"$(openssl rand -hex 32)\"",
};

/// `CASHU_MAX_HELD_SATS`
pub static CASHU_MAX_HELD: Setting = Setting {
    key: "cashu_max_held",
    env: Some("CASHU_MAX_HELD_SATS"),
    directive: None,
    block_key: None,
    kind: Kind::Sat,
    default: "100000",
    why: "Ten thousand sales at ten satoshi, which is many hours of a mint that is away; and no more than a small shop can bear to \
          lose by a mint that never comes back.",
    doc: "How much locked ecash of one mint may wait to be redeemed, in satoshi. It was sold for and is lost if its locks end \
          while its mint is away, or if the mint never comes back. Beyond it locked ecash of that mint is refused (400), and is good \
          again when some has been redeemed; invoices and other mints are not concerned. `0` means no bound.",
    example: "20000",
};

/// `CASHU_REQUIRE_DLEQ`
pub static CASHU_REQUIRE_DLEQ: Setting = Setting {
    key: "cashu_require_dleq",
    env: Some("CASHU_REQUIRE_DLEQ"),
    directive: None,
    block_key: None,
    kind: Kind::Flag,
    default: "off",
    why: "The swap at the mint tells genuine ecash from forged as well; some wallets send no proofs.",
    doc: "Refuses ecash without a proof that its mint signed it (DLEQ, NUT-12), so that forged ecash never reaches the mint. A \
          proof that is there is always verified, and in P2PK mode always required.",
    example: "on",
};

/// `CASHU_REQUEST_FORMAT`
pub static CASHU_REQUEST_FORMAT: Setting = Setting {
    key: "cashu_request_format",
    env: Some("CASHU_REQUEST_FORMAT"),
    directive: None,
    block_key: None,
    kind: Kind::RequestFormat,
    default: "creqA",
    why: "Every wallet reads it.",
    doc: "How the payment request in `X-Cashu` is written: `creqA` (NUT-18) or the newer `creqB` (NUT-26).",
    example: "creqB",
};

/// `CASHU_DB_PATH`
pub static CASHU_DB_PATH: Setting = Setting {
    key: "cashu_db_path",
    env: Some("CASHU_DB_PATH"),
    directive: None,
    block_key: None,
    kind: Kind::WalletFile,
    default: "",
    why: "`cashu.db` in the state directory.",
    doc: "The wallet's database (SQLite): the ecash itself, and which tokens have been taken. Losing it is losing money; keep a copy. \
          It must be on a local disk and belong to the user that l402d runs as.",
    example: "/var/lib/l402d/cashu.db",
};

/// `CASHU_WALLET_MNEMONIC`
pub static CASHU_WALLET_MNEMONIC: Setting = Setting {
    key: "cashu_wallet_mnemonic",
    env: Some("CASHU_WALLET_MNEMONIC"),
    directive: None,
    block_key: None,
    kind: Kind::Mnemonic,
    default: "",
    why: "None: l402d makes one at random, once, and keeps it beside the database (`cashu.mnemonic`, mode 0600).",
    doc: "The words (BIP 39) that the wallet's ecash is derived from (NUT-13): with them it can be restored from its mints. A wallet \
          keeps to the words it was made with; with others l402d does not start. Never set together with \
          `CASHU_WALLET_MNEMONIC_FILE`.",
    example: "\"$(cat /etc/l402/mnemonic)\"",
};

/// `CASHU_WALLET_MNEMONIC_FILE`
pub static CASHU_WALLET_MNEMONIC_FILE: Setting = Setting {
    key: "cashu_wallet_mnemonic_file",
    env: Some("CASHU_WALLET_MNEMONIC_FILE"),
    directive: None,
    block_key: None,
    kind: Kind::MnemonicFile,
    default: "",
    why: "None, as `CASHU_WALLET_MNEMONIC`.",
    doc: "A file that holds the words. Other users must not be able to read it.",
    example: "/etc/l402/mnemonic",
};

/// How ecash is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcashSettings {
    /// The mints, as written.
    pub mints: Vec<String>,
    /// The wallet's database; `None`: in the state directory.
    pub database: Option<PathBuf>,
    /// The words; `None`: l402d's own.
    pub mnemonic: Option<Secret<String>>,
    /// The key that ecash is locked to, in hex; `None`: plain ecash is taken.
    pub p2pk_key: Option<Secret<String>>,
    /// How much locked ecash of one mint may be held, in sat; 0: no bound.
    pub max_held_sat: u64,
    /// Are DLEQ proofs required?
    pub require_dleq: bool,
    /// Is the payment request written as `creqB`?
    pub request_b: bool,
    /// How it is paid out over Lightning; `None`: it stays in the wallet.
    pub payout: Option<PayoutSettings>,
    /// How long the record of a token that is spent at its mint is kept, in seconds; 0: for ever.
    pub token_ttl_s: u64,
}

/// What the layers say; `None`: no ecash is taken.
pub(crate) fn of_layers(
    layers: Layers<'_>,
    read_private: Read<'_>,
    complain: &mut dyn FnMut(Complaint),
) -> Option<EcashSettings> {
    let mut look = Look { layers, complain };
    if !look.flag(&CASHU_ECASH_SUPPORT) {
        return None;
    }
    let mints = look.take(&CASHU_WHITELISTED_MINTS, value::mints);
    if mints.is_none() {
        let expected =
            format!("{} with {}", CASHU_WHITELISTED_MINTS.kind.expected(), CASHU_ECASH_SUPPORT.name());
        (look.complain)(Complaint::new(CASHU_WHITELISTED_MINTS.name(), "is missing", expected));
    }
    let locked = look.flag(&CASHU_P2PK_MODE);
    let key = look.take(&CASHU_P2PK_PRIVATE_KEY, value::private_key).map(Secret::new);
    if locked && key.is_none() {
        let expected =
            format!("{} with {} on", CASHU_P2PK_PRIVATE_KEY.kind.expected(), CASHU_P2PK_MODE.name());
        (look.complain)(Complaint::new(CASHU_P2PK_PRIVATE_KEY.name(), "is missing", expected));
    }
    let pays_out = look.flag(&CASHU_REDEEM_ON_LIGHTNING);
    let payout = PayoutSettings::of(|setting| look.number(setting));
    Some(EcashSettings {
        mints: mints.unwrap_or_default(),
        database: look.take(&CASHU_DB_PATH, |text| {
            value::absolute_path(text.as_bytes(), usize::MAX).map(PathBuf::from)
        }),
        mnemonic: look.mnemonic(read_private),
        p2pk_key: key.filter(|_| locked),
        max_held_sat: look.number(&CASHU_MAX_HELD).unwrap_or(DEFAULT_MAX_HELD_SAT),
        require_dleq: look.flag(&CASHU_REQUIRE_DLEQ),
        request_b: look.take(&CASHU_REQUEST_FORMAT, value::request_format).unwrap_or(false),
        payout: pays_out.then_some(payout),
        token_ttl_s: look.number(&CASHU_TOKEN_TTL).unwrap_or(0),
    })
}

/// Looks settings up and complains.
struct Look<'a, 'c> {
    layers: Layers<'a>,
    complain: &'c mut dyn FnMut(Complaint),
}

impl Look<'_, '_> {
    fn find(&mut self, setting: &Setting) -> Option<Found> {
        self.layers.find(setting).map_err(&mut *self.complain).ok().flatten()
    }

    fn take<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.find(setting)?.parse(setting, parse).map_err(&mut *self.complain).ok()
    }

    fn flag(&mut self, setting: &Setting) -> bool {
        self.take(setting, |text| value::flag(text.as_bytes())).unwrap_or(false)
    }

    fn number(&mut self, setting: &Setting) -> Option<u64> {
        self.take(setting, |text| number(setting, text.as_bytes()))
    }

    fn mnemonic(&mut self, read_private: Read<'_>) -> Option<Secret<String>> {
        let file = self.find(&CASHU_WALLET_MNEMONIC_FILE);
        let words = self.find(&CASHU_WALLET_MNEMONIC);
        match (words, file) {
            (None, None) => None,
            (Some(words), None) => {
                let words = words.parse(&CASHU_WALLET_MNEMONIC, value::mnemonic);
                words.map_err(&mut *self.complain).ok().map(Secret::new)
            }
            (None, Some(file)) => self.words_of(&file, read_private),
            (Some(words), Some(file)) => {
                let problem = format!("is set together with {}", words.name);
                let complaint = Complaint::new(file.name, problem, "only one of the two").at(file.place);
                (self.complain)(complaint.with_value(file.text.as_bytes()));
                None
            }
        }
    }

    fn words_of(&mut self, file: &Found, read_private: Read<'_>) -> Option<Secret<String>> {
        let setting = &CASHU_WALLET_MNEMONIC_FILE;
        let bytes = files::load(setting, &file.name, &file.text, read_private).map(Zeroizing::new);
        let bytes = bytes.map_err(|complaint| (self.complain)(complaint.at(file.place.clone()))).ok()?;
        let words = std::str::from_utf8(&bytes).ok().and_then(value::mnemonic);
        if words.is_none() {
            let complaint = Complaint::new(&file.name, "holds no mnemonic", setting.kind.expected());
            (self.complain)(complaint.at(file.place.clone()).with_value(file.text.as_bytes()));
        }
        words.map(Secret::new)
    }
}

impl EcashSettings {
    /// Its pairs for the configuration pipe.
    pub(crate) fn write(&self, mut pair: impl FnMut(&Setting, &[u8])) {
        pair(&CASHU_WHITELISTED_MINTS, self.mints.join(",").as_bytes());
        if let Some(path) = &self.database {
            pair(&CASHU_DB_PATH, path.as_os_str().as_bytes());
        }
        if let Some(words) = &self.mnemonic {
            pair(&CASHU_WALLET_MNEMONIC, words.expose().as_bytes());
        }
        if let Some(key) = &self.p2pk_key {
            pair(&CASHU_P2PK_PRIVATE_KEY, key.expose().as_bytes());
        }
        pair(&CASHU_MAX_HELD, self.max_held_sat.to_string().as_bytes());
        pair(&CASHU_REQUIRE_DLEQ, if self.require_dleq { b"on" } else { b"off" });
        pair(&CASHU_REQUEST_FORMAT, if self.request_b { b"creqB" } else { b"creqA" });
        pair(&CASHU_TOKEN_TTL, self.token_ttl_s.to_string().as_bytes());
        if let Some(payout) = &self.payout {
            payout.write(pair);
        }
    }

    /// Reads what [`EcashSettings::write`] wrote. There are mints if and only if ecash is taken.
    pub(crate) fn read(taken: &mut Taken<'_>) -> Option<Self> {
        let text = |value: &[u8]| value::utf8(value).map(Zeroizing::new);
        let mints = taken.optional(CASHU_WHITELISTED_MINTS.key, |value| value::mints(&text(value)?))?;
        let path = |value: &[u8]| Some(PathBuf::from(OsString::from_vec(value.to_vec())));
        let key = |value: &[u8]| value::private_key(&text(value)?).map(Secret::new);
        let words = |value: &[u8]| value::mnemonic(&text(value)?).map(Secret::new);
        Some(Self {
            mints,
            database: taken.optional(CASHU_DB_PATH.key, path),
            mnemonic: taken.optional(CASHU_WALLET_MNEMONIC.key, words),
            p2pk_key: taken.optional(CASHU_P2PK_PRIVATE_KEY.key, key),
            max_held_sat: taken.required(CASHU_MAX_HELD.key, |value| number(&CASHU_MAX_HELD, value))?,
            require_dleq: taken.required(CASHU_REQUIRE_DLEQ.key, value::flag)?,
            request_b: taken
                .required(CASHU_REQUEST_FORMAT.key, |value| value::request_format(&text(value)?))?,
            token_ttl_s: taken.required(CASHU_TOKEN_TTL.key, |value| number(&CASHU_TOKEN_TTL, value))?,
            payout: PayoutSettings::read(taken),
        })
    }
}
