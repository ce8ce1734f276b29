//! The record of one setting, and what every front end derives from it.
use crate::{Complaint, value};

/// All there is to know about one setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in l402d's configuration (the pairs that nginx hands to the co-process), or its
    /// directive where it does not concern l402d.
    pub key: &'static str,
    /// The environment variable.
    pub env: Option<&'static str>,
    /// The nginx directive.
    pub directive: Option<Directive>,
    /// The key inside an `l402_backend` block.
    pub block_key: Option<&'static str>,
    /// What text it takes.
    pub kind: Kind,
    /// What holds where it is not written, as an operator would write it; empty: it must be written
    /// where it is needed, or nothing takes its place (`why` says which).
    pub default: &'static str,
    /// Why that is the default.
    pub why: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// For a setting with an environment variable or a block's key, a value; else some lines of nginx's
    /// configuration.
    pub example: &'static str,
}

/// How nginx knows a setting.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: &'static str,
    /// Its arguments as the reference shows them.
    pub arguments: &'static str,
    /// The least and the most number of arguments.
    pub arity: (u8, u8),
    /// Where it may stand, ended by `;`.
    pub contexts: &'static [Context],
    /// Where it may stand, followed by a block.
    pub block: &'static [Context],
    /// Its first argument may hold variables, evaluated for each request.
    pub variables: bool,
}

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// `http {}`.
    Http,
    /// `server {}`.
    Server,
    /// `location {}`.
    Location,
}

impl Context {
    /// The word nginx's own reference uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Server => "server",
            Self::Location => "location",
        }
    }
}

/// What text a setting takes. [`Kind::expected`] says it to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A boolean word.
    Flag,
    /// A price in millisatoshi.
    Msat,
    /// A number of requests.
    Uses,
    /// A token's life in seconds.
    Life,
    /// A time-out in milliseconds.
    Timeout,
    /// A realm's name.
    Realm,
    /// An origin.
    Origin,
    /// `unix:/path`.
    UnixSocket,
    /// A backend's name.
    BackendName,
    /// A type of backend.
    BackendType,
    /// l402d's directory.
    StateDir,
    /// A file that l402d appends to.
    LogFile,
    /// A filter of log lines.
    LogFilter,
    /// The node's address.
    Address,
    /// The address of an HTTP interface.
    HttpAddress,
    /// A Lightning address.
    LightningAddress,
    /// A password: secret.
    Password,
    /// A SOCKS5 proxy's address.
    Socks5,
    /// Whether invoices name private channels.
    RouteHints,
    /// The words of a Lightning Node Connect session: secret.
    PairingPhrase,
    /// A mailbox's address.
    Mailbox,
    /// The path of a file that holds a macaroon.
    MacaroonFile,
    /// The path of a file that holds a certificate.
    CertificateFile,
    /// The path of lightningd's socket.
    RpcFile,
    /// A BOLT12 offer.
    Offer,
    /// clnrest's address.
    ClnAddress,
    /// A rune, or the path of a file that holds it: secret.
    Rune,
    /// The path of a file that holds the certificate of clnrest's authority.
    ClnCertificateFile,
    /// A connection of Nostr Wallet Connect: secret.
    NwcUri,
    /// The root key itself: secret.
    RootKey,
    /// The path of a file that holds the root key.
    RootKeyFile,
    /// A group of this host.
    Group,
    /// Permission bits of the socket.
    SocketMode,
    /// A list of users and groups of this host.
    Peers,
    /// How often something may be done.
    Rate,
    /// Where Redis is; may hold a password.
    RedisUrl,
    /// A number of connections.
    PoolSize,
    /// A number of seconds.
    Seconds,
    /// A number of seconds between two times.
    Interval,
    /// An amount in satoshi.
    Sat,
    /// A share in percent.
    Percent,
    /// A number of proofs.
    Proofs,
    /// Mints.
    Mints,
    /// How an ecash payment request is written.
    RequestFormat,
    /// The file of the ecash wallet.
    WalletFile,
    /// A private key itself: secret.
    PrivateKey,
    /// A mnemonic itself: secret.
    Mnemonic,
    /// The path of a file that holds a mnemonic.
    MnemonicFile,
}

impl Kind {
    /// What an operator should write; follows the word "expected".
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Flag => "on or off (or true, false, 1, 0, yes, no)",
            Self::Msat => "a price in millisatoshi, a whole number from 1 to 2100000000000000000",
            Self::Uses => "a whole number from 1 to 4294967295",
            Self::Life => {
                "a time of whole seconds such as 3600, 90s, 10m, 24h or 30d, at most 36500d; 0 means no expiry"
            }
            Self::Timeout => "a time such as 10, 10s, 500ms or 2m, from 100ms to 10m",
            Self::Realm => {
                "a name of 1 to 128 bytes without control characters, optionally followed by the word shared, or off"
            }
            Self::Origin => "a host's name, or name:port, such as shop.example or shop.example:8443",
            Self::UnixSocket => "unix: followed by an absolute path of at most 107 bytes",
            Self::BackendName => "a name of 1 to 64 letters, digits, \"-\" or \"_\"",
            Self::BackendType => crate::backend::EXPECTED,
            Self::StateDir => "an absolute path of at most 88 bytes",
            Self::LogFile => "an absolute path",
            Self::LogFilter => "a filter such as info, debug, or info,lightning=debug",
            Self::Address => "host or host:port, such as 127.0.0.1:10009",
            Self::HttpAddress => "http://host:port or https://host:port, such as http://127.0.0.1:8080",
            Self::LightningAddress => {
                "user@host, such as alice@example.com; or http://user@host for a host of this network: a loopback or \
                 private address, a name without a dot, .local, .internal or .onion"
            }
            Self::Password => "a password",
            Self::Socks5 => "host:port or socks5://host:port, without a user name",
            Self::RouteHints => "auto, on or off",
            Self::PairingPhrase => "the ten words of a session's pairing phrase, with spaces between",
            Self::Mailbox => "host or host:port, perhaps with wss:// or grpcs:// in front",
            Self::MacaroonFile => "the path of a macaroon that LND made, such as invoice.macaroon",
            Self::CertificateFile => "the path of the node's certificate in PEM form, such as LND's tls.cert",
            Self::RpcFile => {
                "the path of lightningd's socket, such as /home/cln/.lightning/bitcoin/lightning-rpc"
            }
            Self::Offer => "an offer, lno1…, as lightning-cli offer gives it",
            Self::ClnAddress => "host or host:port, such as 127.0.0.1:3010",
            Self::Rune => "a rune as createrune gives it, or the path of a file that holds it",
            Self::ClnCertificateFile => "the path of a certificate in PEM form, such as lightningd's ca.pem",
            Self::NwcUri => {
                "nostr+walletconnect://, the wallet's key, ?relay=… with wss:// or ws:// and &secret=…, as the wallet shows it"
            }
            Self::RootKey => "at least 32 characters, such as the output of: openssl rand -hex 32",
            Self::RootKeyFile => {
                "the path of a file with a key of at least 32 characters in each line, that other users can't read"
            }
            Self::Group => "the name or number of a group, such as \"www-data\"",
            Self::SocketMode => "permission bits in octal, such as \"0660\", with all rights for the owner",
            Self::Peers => {
                "a list of users, and of groups with \"@\" in front, by name or number, such as [\"www-data\", \"@nginx\"]"
            }
            Self::Rate => "a number of challenges such as 5r/m, 10r/h or 2r/s (5 alone means 5r/m), or off",
            Self::RedisUrl => {
                "redis://[user:password@]host[:port][/db], rediss://… for TLS, redis+unix:///path, \
                 redis+sentinel://host,host/master or redis+cluster://host,host, with \"%\" codes in names and passwords"
            }
            Self::PoolSize => "a whole number from 1 to 256",
            Self::Seconds => "a whole number of seconds, at most 3153600000; 0 means for ever",
            Self::Interval => "a whole number of seconds from 1 to 31536000",
            Self::Sat => "an amount in satoshi, a whole number from 0 to 2100000000000000",
            Self::Percent => "a whole number from 0 to 50",
            Self::Proofs => "a whole number from 0 to 1000; 0 means as many as the mint takes",
            Self::Mints => {
                "addresses of 1 to 16 mints with commas between them, such as https://mint.example.com"
            }
            Self::RequestFormat => "creqA or creqB",
            Self::WalletFile => "an absolute path",
            Self::PrivateKey => {
                "a private key of 32 bytes in hex, such as the output of: openssl rand -hex 32"
            }
            Self::Mnemonic => "12, 15, 18, 21 or 24 words of BIP 39 in English",
            Self::MnemonicFile => {
                "the path of a file with the words of a mnemonic, that other users can't read"
            }
        }
    }

    /// Whether the value is a path: in `l402d.toml` a relative one starts from the file's directory.
    pub const fn is_path(self) -> bool {
        matches!(
            self,
            Self::MacaroonFile
                | Self::CertificateFile
                | Self::RootKeyFile
                | Self::RpcFile
                | Self::Rune
                | Self::ClnCertificateFile
                | Self::MnemonicFile
        )
    }

    /// Whether `l402d.toml` may give it as a number.
    pub(crate) const fn is_number(self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::Group
                | Self::PoolSize
                | Self::Seconds
                | Self::Interval
                | Self::Sat
                | Self::Percent
                | Self::Proofs
        )
    }

    /// Whether the value itself must never be shown.
    pub const fn is_secret(self) -> bool {
        matches!(
            self,
            Self::NwcUri
                | Self::PairingPhrase
                | Self::Password
                | Self::RedisUrl
                | Self::RootKey
                | Self::Rune
                | Self::PrivateKey
                | Self::Mnemonic
        )
    }
}

impl Setting {
    /// Its name as a directive, else as an environment variable, else in l402d's configuration.
    pub fn name(&self) -> &'static str {
        match (&self.directive, self.env) {
            (Some(directive), _) => directive.name,
            (None, Some(env)) => env,
            (None, None) => self.key,
        }
    }

    /// A boolean word.
    ///
    /// # Errors
    /// What the operator should write instead; so for all the methods below.
    pub fn flag(&self, text: impl AsRef<[u8]>) -> Result<bool, Complaint> {
        value::flag(text.as_ref()).ok_or_else(|| self.invalid(text.as_ref()))
    }

    /// A price in millisatoshi, at least 1.
    pub fn msat(&self, text: impl AsRef<[u8]>) -> Result<u64, Complaint> {
        value::msat(text.as_ref()).ok_or_else(|| self.invalid(text.as_ref()))
    }

    /// A number of requests, at least 1.
    pub fn uses(&self, text: impl AsRef<[u8]>) -> Result<u32, Complaint> {
        value::uses(text.as_ref()).ok_or_else(|| self.invalid(text.as_ref()))
    }

    /// A token's life in seconds; 0 means that it does not expire.
    pub fn life(&self, text: impl AsRef<[u8]>) -> Result<u64, Complaint> {
        value::life(text.as_ref()).ok_or_else(|| self.invalid(text.as_ref()))
    }

    /// A time-out in milliseconds.
    pub fn timeout(&self, text: impl AsRef<[u8]>) -> Result<u64, Complaint> {
        value::timeout(text.as_ref()).ok_or_else(|| self.invalid(text.as_ref()))
    }

    /// The arguments of `l402_realm`; `None` is `off`.
    pub fn realm<T: AsRef<[u8]>>(&self, args: &[T]) -> Result<Option<value::Realm>, Complaint> {
        value::realm(args).ok_or_else(|| {
            let words: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
            self.invalid(&words.join(&b' '))
        })
    }

    /// An origin, in lower case.
    pub fn origin(&self, text: impl AsRef<[u8]>) -> Result<String, Complaint> {
        value::origin(text.as_ref()).ok_or_else(|| self.invalid(text.as_ref()))
    }

    /// How often something may be done; `None` is `off`.
    pub fn rate(&self, text: impl AsRef<[u8]>) -> Result<Option<value::Rate>, Complaint> {
        value::rate(text.as_ref()).ok_or_else(|| self.invalid(text.as_ref()))
    }

    /// The path of `unix:/path`.
    pub fn unix_socket<'t>(&self, text: &'t [u8]) -> Result<&'t str, Complaint> {
        value::unix_socket(text).ok_or_else(|| self.invalid(text))
    }

    /// A backend's name.
    pub fn backend_name<'t>(&self, text: &'t [u8]) -> Result<&'t str, Complaint> {
        value::backend_name(text).ok_or_else(|| self.invalid(text))
    }

    /// The arguments of `l402_backend` in a location: names, separated by a space in what is returned.
    pub fn backend_names<T: AsRef<[u8]>>(&self, args: &[T]) -> Result<String, Complaint> {
        value::backend_names(args).ok_or_else(|| {
            let words: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
            self.invalid(&words.join(&b' '))
        })
    }

    /// A Lightning address, in its one form.
    pub fn lightning_address(&self, text: &[u8]) -> Result<String, Complaint> {
        let address = std::str::from_utf8(text).ok().and_then(value::lightning_address);
        address.ok_or_else(|| self.invalid(text))
    }

    /// l402d's directory, without a final `/`.
    pub fn state_dir<'t>(&self, text: &'t [u8]) -> Result<&'t str, Complaint> {
        value::state_dir(text).ok_or_else(|| self.invalid(text))
    }

    /// The complaint about a value that this setting can't take.
    #[cold]
    pub fn invalid(&self, value: &[u8]) -> Complaint {
        self.invalid_as(self.name(), value)
    }

    /// The complaint that this setting is needed and not written.
    #[cold]
    pub fn missing(&self) -> Complaint {
        self.missing_as(self.name())
    }

    /// As [`Setting::invalid`], for a setting written under another name.
    #[cold]
    pub fn invalid_as(&self, name: &str, value: &[u8]) -> Complaint {
        let complaint = Complaint::new(name, "is not valid", self.kind.expected());
        if self.kind.is_secret() { complaint } else { complaint.with_value(value) }
    }

    /// As [`Setting::missing`], for a setting to be written under another name.
    #[cold]
    pub fn missing_as(&self, name: &str) -> Complaint {
        Complaint::new(name, "is missing", self.kind.expected())
    }

    /// Whether it is a key of `l402d.toml`, outside the tables of backends.
    pub const fn is_in_file(&self) -> bool {
        self.block_key.is_none() && (self.directive.is_none() || self.env.is_some())
    }

    /// Where the reference describes it, relative to the project's root.
    pub fn page(&self) -> String {
        match (&self.directive, self.env) {
            (Some(directive), _) => format!("docs/reference/directives.md#{}", directive.name),
            (None, Some(env)) => format!("docs/reference/environment.md#{}", env.to_lowercase()),
            (None, None) => format!("docs/reference/l402d-toml.md#{}", self.key),
        }
    }
}
