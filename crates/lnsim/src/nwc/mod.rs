//! The front door of Nostr Wallet Connect (NIP-47): small relays with a wallet service behind them, over the same ledger.
//!
//! The way of a request: `port` (TCP, TLS, websocket) → `relay` (NIP-01: subscriptions, events) → `wallet` (encryption,
//! methods, faults) → the world. A call is counted, and faulted, as the call of LND that does the same:
//! `make_invoice` as `AddInvoice`, `lookup_invoice` as `LookupInvoice`, `get_info` as `GetInfo`; a subscription to
//! notifications as `SubscribeInvoices`.

mod filter;
mod port;
mod relay;
mod wallet;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use nostr::key::Keys;
use tokio_rustls::TlsAcceptor;

use crate::identity::{Identity, IdentityError};
use crate::listener::Port;
use crate::sim::Sim;
use relay::Relay;
use wallet::Wallet;

/// What kind of wallet and relays there are.
#[derive(Clone, Debug)]
pub struct NwcOptions {
    /// How many relays the connection has.
    pub relays: usize,
    /// Whether the relays speak TLS; see [`NwcDoor::certificate`].
    pub tls: bool,
    /// What the wallet's info event says of encryption, and what it understands: names, separated by spaces. `None`
    /// leaves the tag out, as wallets did that know NIP-04 only.
    pub encryption: Option<&'static str>,
    /// What the info event says of encryption, where that is not what the wallet understands: one that is out of date.
    pub announced_encryption: Option<&'static str>,
    /// Whether the wallet's info event is to be had.
    pub info_event: bool,
    /// When the relays have it.
    pub info: InfoEvent,
    /// Whether responses are tagged with the client's key.
    pub tagged: bool,
    /// What is tagged so besides.
    pub tags: Tags,
    /// Whether the wallet answers what it can't read with UNSUPPORTED_ENCRYPTION, or not at all.
    pub answers_unreadable: bool,
    /// Methods that the wallet announces and never answers.
    pub silent: &'static [&'static str],
    /// The methods of the connection.
    pub methods: &'static [&'static str],
    /// Whether the wallet tells of payments by itself.
    pub notifications: bool,
    /// Whether the wallet says `state`; older ones tell a settlement by `settled_at` alone.
    pub states: bool,
    /// Whether the relays keep notifications for who comes later.
    pub kept: bool,
    /// Whether the relays want to know who comes (NIP-42) before they pass anything on.
    pub authenticated: bool,
    /// How they do that.
    pub authentication: Authentication,
    /// A subscription that the relays end at once, and why: `tagged` (with the client's key), `answers` (by the ids of
    /// requests), `untagged` or `info`.
    pub close: Option<(&'static str, &'static str)>,
    /// Why the relays take no request.
    pub reject: Option<&'static str>,
    /// Whether the relays take requests and pass nothing on.
    pub deaf: bool,
}

/// When the relays have the wallet's info event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfoEvent {
    /// From the start.
    Kept,
    /// Never: they purge it.
    Purged,
    /// Once the wallet has answered something.
    Late,
}

/// Which of the wallet's events are tagged with the client's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// Notifications too.
    All,
    /// Responses only.
    ResponsesOnly,
}

/// How relays find out who comes (NIP-42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// They ask at once.
    AtConnect,
    /// They ask when something is wanted of them.
    Lazy,
    /// They ask, and let nobody in.
    Deny,
}

impl Default for NwcOptions {
    /// One relay without TLS; a wallet of today that may not spend.
    fn default() -> Self {
        Self {
            relays: 1,
            tls: false,
            encryption: Some("nip04 nip44_v2"),
            announced_encryption: None,
            info_event: true,
            info: InfoEvent::Kept,
            tagged: true,
            tags: Tags::All,
            answers_unreadable: true,
            silent: &[],
            methods: &["make_invoice", "lookup_invoice", "get_info"],
            notifications: true,
            states: true,
            kept: false,
            authenticated: false,
            authentication: Authentication::AtConnect,
            close: None,
            reject: None,
            deaf: false,
        }
    }
}

/// Why the door did not open.
#[derive(Debug, thiserror::Error)]
pub enum NwcError {
    /// No port.
    #[error("a relay cannot listen")]
    Listen(#[from] io::Error),
    /// No certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// An open door. It closes with its simulator.
pub struct NwcDoor {
    wallet: Arc<Wallet>,
    client: Keys,
    relays: Vec<Arc<Relay>>,
    addresses: Vec<SocketAddr>,
    certificate: Option<String>,
}

impl Sim {
    /// Opens a door for clients of Nostr Wallet Connect. On return its relays serve and the wallet listens.
    /// [`crate::FaultKind::RefuseConnections`] and its like concern the relays too.
    ///
    /// # Errors
    /// No port or no certificate.
    pub fn open_nwc(&self, options: NwcOptions) -> Result<NwcDoor, NwcError> {
        let identity = options.tls.then(Identity::generate_for_server).transpose()?;
        let acceptor = identity.as_ref().map(|identity| TlsAcceptor::from(Arc::clone(&identity.server)));
        let client = Keys::generate();
        let wallet = Arc::new(Wallet::new(self.world(), client.public_key(), options.clone()));
        let runtime = self.runtime();
        let _guard = runtime.enter();
        let (mut relays, mut addresses) = (Vec::new(), Vec::new());
        for _ in 0..options.relays {
            let port = Port::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            addresses.push(port.address());
            let relay = Arc::new(Relay::new(self.world(), Arc::clone(&wallet), &options));
            runtime.spawn(port::serve(
                port,
                Arc::clone(&relay),
                acceptor.clone(),
                self.world(),
                self.modes(),
            ));
            relays.push(relay);
        }
        wallet.attach(&relays);
        runtime.spawn(wallet::notify(Arc::clone(&wallet), self.world().subscribe(0, 0)));
        let certificate = identity.map(|identity| identity.cert_pem);
        Ok(NwcDoor { wallet, client, relays, addresses, certificate })
    }
}

impl NwcDoor {
    /// What an operator pastes: `nostr+walletconnect://…`, every relay in it.
    pub fn uri(&self) -> String {
        self.uri_of(&self.client)
    }

    /// A URI that leads to the same wallet, which does not know its key.
    pub fn uri_of_a_stranger(&self) -> String {
        self.uri_of(&Keys::generate())
    }

    /// The wallet's public key.
    pub fn wallet_key(&self) -> [u8; 32] {
        self.wallet.public_key().to_bytes()
    }

    /// The client's secret key.
    pub fn client_secret(&self) -> [u8; 32] {
        self.client.secret_key().to_secret_bytes()
    }

    /// The relays' URLs.
    pub fn relay_urls(&self) -> Vec<String> {
        let scheme = if self.certificate.is_some() { "wss" } else { "ws" };
        self.addresses.iter().map(|address| format!("{scheme}://{address}")).collect()
    }

    /// The relays' addresses.
    pub fn relay_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The relays' certificate in PEM form, which vouches for itself; `None` without TLS.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Says this to everybody who is connected to a relay: what a hostile relay might.
    pub fn say(&self, relay: usize, frame: &str) {
        self.relays[relay].say(frame);
    }

    /// The frames in which a relay passed the wallet's events on, from the first: what a hostile relay could keep.
    pub fn passed_on(&self, relay: usize) -> Vec<String> {
        self.relays[relay].passed_on()
    }

    fn uri_of(&self, client: &Keys) -> String {
        let escaped = |url: &String| url.replace(':', "%3A").replace('/', "%2F");
        let relays: String = self.relay_urls().iter().map(|url| format!("relay={}&", escaped(url))).collect();
        let (wallet, secret) = (self.wallet.public_key().to_hex(), client.secret_key().to_secret_hex());
        format!("nostr+walletconnect://{wallet}?{relays}secret={secret}&lud16=shop%40lnsim.test")
    }
}
