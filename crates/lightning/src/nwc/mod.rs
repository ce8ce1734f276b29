//! Any wallet that speaks Nostr Wallet Connect (NIP-47): `make_invoice`, `lookup_invoice`, notifications, `get_info`.
//!
//! A connection that may make invoices and look them up is enough; one that may spend is never needed. Every relay of
//! the URI is used at the same time: requests go to each, and the first answer counts.
//!
//! The way of a call: `hub` (who waits, which relays are up) → `session` (the protocol, without I/O) → `account` (the
//! keys) and `message` (the bodies); `relay` carries frames.

mod account;
mod hub;
mod info;
mod line;
mod memory;
mod message;
mod probe;
mod refusal;
mod relay;
mod session;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use l402::PaymentHash;
use rustls::ClientConfig;
use serde_json::{Value, json};
use settings::NwcSettings;
use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::connector::{Connector, Found, Made, Push};
use crate::foreign::Secrets;
use crate::{Calls, Health, InvoiceRequest, Lightning, LightningError, Network, Reply, Wallet};
use account::Account;
use hub::Hub;
use info::{Encryption, Method};
use memory::Memory;
use message::NodeInfo;
use refusal::Refusal;
use relay::Address;
use session::Session;

/// How long a call waits for `get_info`: what it tells is good to know, and some wallets announce it and never answer.
const HINT: Duration = Duration::from_secs(1);

/// Opens the wallet that `settings` describes. The one time-out bounds connecting too. What it has to know again goes into
/// a file in `state_dir`.
pub(crate) fn open(
    settings: &NwcSettings,
    timeout: Duration,
    state_dir: &Path,
) -> Result<Arc<dyn Lightning>, String> {
    let NwcSettings { wallet, secret, relays } = settings;
    let client = NwcClient::new(wallet, secret.expose(), relays, None, timeout, Some(state_dir))?;
    Ok(Arc::new(Wallet::of(client, timeout)))
}

/// A wallet behind relays.
pub type Nwc = Wallet<NwcClient>;

/// A wallet behind relays, as it speaks.
pub struct NwcClient {
    hub: Arc<Hub>,
    relays: Vec<Address>,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    secrets: Secrets,
    /// The tasks that keep the relays reached, once there was a first call.
    tasks: OnceLock<Tasks>,
    /// Held while the wallet's encryption is found out.
    probing: Mutex<()>,
    /// What `get_info` said; `None` within if it said nothing.
    told: OnceCell<Option<Told>>,
    /// The wallet said that it has no `lookup_invoice`, whatever its info event says.
    cannot_look_up: AtomicBool,
}

struct Told {
    network: Option<Network>,
    /// Whether this connection may look up.
    can_look_up: bool,
}

/// Ends its tasks when it goes.
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Nwc {
    /// A wallet of this public key behind these relays, for the client of this secret key; every call takes at most
    /// `timeout`, connecting included. `wss://` relays must be trusted by `tls`, or by the system if that is `None`.
    /// Nothing is connected before the first call.
    ///
    /// # Errors
    /// The operator's: a key or address that is none. The text holds no secret.
    pub fn new(
        wallet: &[u8; 32],
        secret: &[u8; 32],
        relays: &[String],
        tls: Option<Arc<ClientConfig>>,
        timeout: Duration,
    ) -> Result<Nwc, String> {
        Ok(Wallet::of(NwcClient::new(wallet, secret, relays, tls, timeout, None)?, timeout))
    }
}

impl NwcClient {
    fn new(
        wallet: &[u8; 32],
        secret: &[u8; 32],
        relays: &[String],
        tls: Option<Arc<ClientConfig>>,
        timeout: Duration,
        state_dir: Option<&Path>,
    ) -> Result<NwcClient, String> {
        let account = Account::new(wallet, secret)?;
        let addresses = relays.iter().map(|url| Address::parse(url)).collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() {
            return Err("NWC_URI names no relay: copy the URI again from the wallet".to_owned());
        }
        let tls = match tls {
            None if addresses.iter().any(Address::is_secure) => Some(relay::system_tls()?),
            tls => tls,
        };
        let memory = Memory::of(state_dir, wallet);
        let session = Session::new(account, memory.had_nip44());
        Ok(NwcClient {
            hub: Arc::new(Hub::new(session, memory, relays)),
            relays: addresses,
            tls,
            timeout,
            secrets: Secrets::none().bytes(secret),
            tasks: OnceLock::new(),
            probing: Mutex::default(),
            told: OnceCell::new(),
            cannot_look_up: AtomicBool::new(false),
        })
    }

    /// The shared state, with the relays being reached.
    fn hub(&self) -> &Hub {
        self.tasks.get_or_init(|| {
            let relays = self.relays.iter().enumerate();
            let tasks = relays.map(|(index, address)| {
                let (hub, tls) = (Arc::clone(&self.hub), self.tls.clone());
                tokio::spawn(relay::keep(hub, index, address.clone(), tls, self.timeout)).abort_handle()
            });
            Tasks(tasks.collect())
        });
        &self.hub
    }

    /// Asks the wallet in an encryption that it reads.
    async fn ask(
        &self,
        method: Method,
        params: &Value,
        deadline: Instant,
    ) -> Result<Result<Value, Refusal>, LightningError> {
        let encryption = self.encryption(deadline).await?;
        let answer = self.hub().ask(method, params, encryption, deadline).await?;
        match &answer {
            // Its info event is an old one.
            Err(refusal) if refusal.is_about_encryption() && encryption == Encryption::Nip04 => {
                let again = self.hub().ask(method, params, Encryption::Nip44, deadline).await?;
                self.hub().learn(Encryption::Nip44);
                Ok(again)
            }
            Ok(_) | Err(_) => Ok(answer),
        }
    }

    async fn make_invoice(&self, ask: &InvoiceRequest, deadline: Instant) -> Result<Made, LightningError> {
        if !self.hub().info(deadline).await?.can(Method::MakeInvoice) {
            return Err(LightningError::Refused(
                "the wallet's connection has no make_invoice; make a connection that has it".to_owned(),
            ));
        }
        let answer = self.ask(Method::MakeInvoice, &message::make_invoice(ask), deadline).await?;
        message::made(answer.map_err(|refusal| refusal.of(Method::MakeInvoice))?, ask)
    }

    async fn look_up_invoice(&self, hash: PaymentHash, deadline: Instant) -> Result<Found, LightningError> {
        let offered = self.hub().info(deadline).await?.can(Method::LookupInvoice);
        let allowed = self.told(deadline).await?.is_none_or(|told| told.can_look_up);
        if !offered || !allowed || self.cannot_look_up.load(Ordering::Relaxed) {
            return Ok(Found::CannotLookUp);
        }
        match self.ask(Method::LookupInvoice, &message::lookup_invoice(hash), deadline).await? {
            Ok(result) => message::found(result),
            Err(refusal) if refusal.is_not_implemented() => {
                if !self.cannot_look_up.swap(true, Ordering::Relaxed) {
                    tracing::warn!("the wallet has no lookup_invoice, although its info event says so");
                }
                Ok(Found::CannotLookUp)
            }
            Err(refusal) => refusal.of_look_up(),
        }
    }

    /// How the wallet is, and what it is spoken to in.
    async fn wallet_health(&self, deadline: Instant) -> Result<Health, LightningError> {
        let health = self.told_health(deadline).await?;
        let sealed = match self.hub().encryption()? {
            Some(Encryption::Nip44) => ", by NIP-44",
            Some(Encryption::Nip04) => ", by NIP-04, which it knows alone",
            None => "",
        };
        Ok(Health { node: format!("{}{sealed}", health.node), ..health })
    }

    async fn told_health(&self, deadline: Instant) -> Result<Health, LightningError> {
        let info = self.hub().info(deadline).await?;
        // A look-up shows as well that the wallet answers this connection, also where it never answers get_info.
        let look_up = self.look_up_invoice(PaymentHash([0; 32]), deadline);
        if !info.can(Method::GetInfo) {
            look_up.await?;
            return Ok(Health::of("NWC wallet"));
        }
        let params = json!({});
        let get_info = self.ask(Method::GetInfo, &params, deadline);
        tokio::pin!(look_up, get_info);
        let told = tokio::select! {
            told = &mut get_info => told?,
            found = &mut look_up => {
                found?;
                match timeout_at(deadline.min(Instant::now() + HINT), &mut get_info).await {
                    Ok(told) => told?,
                    Err(_) => return Ok(Health::of("NWC wallet")),
                }
            }
        };
        match told {
            Ok(result) => {
                let NodeInfo { node, network, .. } = message::node_info(&result);
                Ok(Health { network, ..Health::of(node) })
            }
            Err(refusal) if refusal.code == "UNAUTHORIZED" => Err(refusal.of(Method::GetInfo)),
            Err(_) => Ok(Health::of("NWC wallet")),
        }
    }

    /// What the wallet says of itself and of this connection. Asked once, for a moment.
    async fn told(&self, deadline: Instant) -> Result<Option<&Told>, LightningError> {
        let ask = || async {
            if !self.hub().info(deadline).await?.can(Method::GetInfo) {
                return Ok(None);
            }
            // Found out before: it takes as long as it takes.
            self.encryption(deadline).await?;
            let params = json!({});
            let asked = self.ask(Method::GetInfo, &params, deadline.min(Instant::now() + HINT));
            let Ok(Ok(result)) = asked.await else { return Ok(None) };
            let NodeInfo { network, methods, .. } = message::node_info(&result);
            let lookup = Method::LookupInvoice.name();
            let can_look_up = methods.is_empty() || methods.iter().any(|name| name == lookup);
            if !can_look_up {
                tracing::warn!("the connection may not use lookup_invoice; allow it in the wallet");
            }
            Ok(Some(Told { network: network.as_deref().and_then(Network::from_name), can_look_up }))
        };
        // Whoever asks first may hold the others up, but no longer than their own deadline.
        match timeout_at(deadline, self.told.get_or_try_init(ask)).await {
            Ok(told) => told.map(Option::as_ref),
            Err(_) => Err(LightningError::TimedOut),
        }
    }
}

impl Connector for NwcClient {
    fn make<'a>(&'a self, ask: &'a InvoiceRequest, deadline: Instant) -> Reply<'a, Made> {
        Box::pin(self.make_invoice(ask, deadline))
    }

    fn find(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Found> {
        Box::pin(self.look_up_invoice(hash, deadline))
    }

    fn pushes(&self) -> mpsc::Receiver<Push> {
        self.hub().listen()
    }

    fn health(&self, deadline: Instant) -> Reply<'_, Health> {
        Box::pin(self.wallet_health(deadline))
    }

    fn network(&self, deadline: Instant) -> Reply<'_, Option<Network>> {
        Box::pin(async move { Ok(self.told(deadline).await?.and_then(|told| told.network)) })
    }

    fn calls(&self) -> Calls {
        Calls {
            kind: "NWC",
            health: "get_info",
            create: "make_invoice",
            look_up: "lookup_invoice",
            push: "payment_received",
            cancel: None,
        }
    }

    /// The wallet's info event says so.
    fn try_push(&self, deadline: Instant) -> Reply<'_, bool> {
        Box::pin(async move { Ok(self.hub().info(deadline).await?.pushes()) })
    }

    fn when_silent(&self) -> &'static str {
        "Check that the wallet runs and is at one of the relays, that NWC_URI is that of this connection, and this host's \
         clock (by NTP): a wallet or relay passes over what is minutes off"
    }

    fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }
}
