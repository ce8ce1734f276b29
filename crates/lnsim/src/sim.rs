//! The simulator as a value: start it, use it from any thread, drop it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::bolt11::NodeKey;
use crate::cln::{self, Cln, Rest};
use crate::eclair::{Eclair, EclairOptions};
use crate::fault::{Fault, FaultKind};
use crate::front::Front;
use crate::http;
use crate::identity::{Identity, IdentityError};
use crate::ledger::{FailureReason, Hash32, Invoice, LedgerError, PaymentStatus};
use crate::listener::{self, Mode, ModeChange, Port};
use crate::lnc::{LncOptions, LncSession, Mailbox, Surroundings, Weather, start_session};
use crate::lnurl::{Lnurl, LnurlOptions};
use crate::method::Method;
use crate::permits::{Oven, Permit};
use crate::world::{Channels, CreateError, InvoiceSpec, World, random};

/// How long [`Sim::wait_for_calls`] waits at most: long enough for a loaded machine, short enough for a test.
const WAIT: Duration = Duration::from_secs(30);

/// Where LND keeps the macaroons of its network, below its directory.
const NETWORK_DIR: &str = "data/chain/bitcoin/regtest";

/// How to start a simulator.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Where to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// LND's directory; it is made, and existing certificate and macaroons in it are replaced. `None` is a temporary
    /// one that goes with the simulator.
    pub dir: Option<PathBuf>,
    /// What the payer begins with, msat.
    pub balance_msat: u64,
    /// What the routing of each payment costs, msat. Zero, as over a direct channel.
    pub fee_msat: u64,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

impl Default for SimOptions {
    /// Any port of 127.0.0.1, a temporary directory, 10 BTC.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            dir: None,
            balance_msat: 1_000_000_000_000,
            fee_msat: 0,
            faults: Vec::new(),
        }
    }
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can't be had, or the runtime could not be made.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The directory can't be written.
    #[error("cannot write {path}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// Why [`Sim::pay`] did not bring a preimage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayError {
    /// Not tried: unreadable, for another network, expired, paid before … in LND's words.
    #[error("{0}")]
    Refused(String),
    /// Tried and failed.
    #[error("the payment failed: {0:?}")]
    Failed(FailureReason),
    /// Under way: the receiver holds it ([`FaultKind::Hold`]).
    #[error("the payment is in flight")]
    InFlight,
}

/// The calls waited for did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method} came {count} times, {wanted} were waited for")]
pub struct CallsMissing {
    /// The call.
    pub method: Method,
    /// How often it came.
    pub count: u64,
    /// How often it should have come.
    pub wanted: u64,
}

/// A running simulator. It stops when it is dropped. All methods may be called from any thread.
pub struct Sim {
    world: Arc<World>,
    address: SocketAddr,
    dir: PathBuf,
    cln: Arc<Cln>,
    /// One for each port.
    modes: Mutex<Vec<mpsc::UnboundedSender<ModeChange>>>,
    mailbox: Arc<Mailbox>,
    /// The port's mode, for sessions through the mailbox.
    mode: watch::Sender<Mode>,
    /// Connections that need no TLS, for the front door.
    plain: mpsc::UnboundedSender<TcpStream>,
    oven: Arc<Oven>,
    /// What LND's port shows itself by.
    tls: watch::Sender<TlsAcceptor>,
    /// `Some` until dropped.
    runtime: Option<Runtime>,
    _temporary: Option<TempDir>,
}

impl Sim {
    /// Starts a simulator. On return it serves, and its files are written.
    pub fn start(options: SimOptions) -> Result<Self, StartError> {
        let (dir, temporary) = match options.dir {
            Some(dir) => (dir, None),
            None => {
                let temporary = TempDir::with_prefix("lnsim-")
                    .map_err(|source| StartError::Write { path: std::env::temp_dir(), source })?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let identity = Identity::generate()?;
        let oven = Oven::new(random()?);
        write_files(&dir, &identity, &oven)?;

        let world = Arc::new(World::new(node_key()?, node_key()?, options.balance_msat, options.fee_msat));
        let listen_error = |source| StartError::Listen { address: options.listen, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("lnsim")
            .enable_all()
            .build()
            .map_err(listen_error)?;
        let (modes, mode_changes) = mpsc::unbounded_channel();
        let port = {
            let _guard = runtime.enter();
            Port::bind(options.listen).map_err(listen_error)?
        };
        let address = port.address();
        let oven = Arc::new(oven);
        let front = Front { world: world.clone(), oven: oven.clone() };
        let (mailbox, door) = {
            let _guard = runtime.enter();
            (Mailbox::start(&identity.server).map_err(listen_error)?, listener::open(front))
        };
        let (plain, streams) = mpsc::unbounded_channel();
        runtime.spawn(listener::pass_on(streams, door.clone(), world.clone()));
        let tls = watch::Sender::new(TlsAcceptor::from(identity.server));
        runtime.spawn(listener::serve(port, world.clone(), door, tls.subscribe(), mode_changes));

        let modes = Mutex::new(vec![modes]);
        let cln = Arc::new(Cln::new(world.clone(), random()?));
        let mode = watch::Sender::new(Mode::Open);
        let runtime = Some(runtime);
        let sim = Self {
            world,
            address,
            dir,
            cln,
            modes,
            mailbox,
            mode,
            plain,
            oven,
            tls,
            runtime,
            _temporary: temporary,
        };
        for fault in options.faults {
            sim.fault(fault);
        }
        Ok(sim)
    }

    /// `host:port` of LND's gRPC interface.
    pub fn lnd_address(&self) -> String {
        self.address.to_string()
    }

    /// LND's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The node's certificate.
    pub fn tls_cert_path(&self) -> PathBuf {
        self.dir.join("tls.cert")
    }

    /// One of the node's macaroons.
    pub fn macaroon_path(&self, permit: Permit) -> PathBuf {
        self.dir.join(NETWORK_DIR).join(permit.file_name())
    }

    /// Opens Eclair's front door on `listen` (port 0 is any free one); it stays open as long as the simulator runs.
    ///
    /// # Errors
    /// The address can't be had.
    pub fn open_eclair(&self, listen: SocketAddr, options: EclairOptions) -> Result<SocketAddr, StartError> {
        let door = Eclair::new(self.world.clone(), options);
        let world = self.world.clone();
        self.open(listen, |port, modes| http::serve(port, modes, world, Arc::new(door)))
    }

    /// Opens an LNURL server on `listen` (port 0 is any free one); it stays open as long as the simulator runs.
    ///
    /// # Errors
    /// The address can't be had.
    pub fn open_lnurl(&self, listen: SocketAddr, options: LnurlOptions) -> Result<SocketAddr, StartError> {
        let door = Lnurl::new(self.world.clone(), options);
        let world = self.world.clone();
        self.open(listen, |port, modes| http::serve(port, modes, world, Arc::new(door)))
    }

    /// Opens lightningd's socket at `path`; it stays open as long as the simulator runs.
    ///
    /// # Errors
    /// The path can't be had.
    pub fn open_cln_socket(&self, path: &Path) -> Result<(), StartError> {
        let write_error = |source| StartError::Write { path: path.to_owned(), source };
        let stopped = || write_error(io::Error::other("the simulator has stopped"));
        let runtime = self.runtime.as_ref().ok_or_else(stopped)?;
        let listener = {
            let _guard = runtime.enter();
            UnixListener::bind(path).map_err(write_error)?
        };
        runtime.spawn(cln::serve(listener, path.to_owned(), self.cln.clone(), self.modes()));
        Ok(())
    }

    /// Opens clnrest on `listen` (port 0 is any free one), and writes its `ca.pem` into the simulator's directory; it
    /// stays open as long as the simulator runs.
    ///
    /// # Errors
    /// The address can't be had, or the file can't be written.
    pub fn open_cln_rest(&self, listen: SocketAddr) -> Result<SocketAddr, StartError> {
        let identity = Identity::of_clnrest(listen.ip())?;
        write(&self.cln_ca_path(), identity.cert_pem.as_bytes(), 0o644)?;
        let (world, door) = (self.world.clone(), Arc::new(Rest(self.cln.clone())));
        let tls = TlsAcceptor::from(identity.server);
        self.open(listen, |port, modes| http::serve_tls(port, modes, world, door, tls))
    }

    /// An offer of the node, for any amount.
    pub fn offer(&self, description: &str) -> String {
        self.world.receiver.offer(description)
    }

    /// The certificate of clnrest's authority.
    pub fn cln_ca_path(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A rune for clnrest that permits these methods; for none of them it permits everything.
    pub fn cln_rune(&self, methods: &[&str]) -> String {
        let alternatives: Vec<String> = methods.iter().map(|method| format!("method={method}")).collect();
        let alternatives: Vec<&str> = alternatives.iter().map(String::as_str).collect();
        let restriction = [&alternatives[..]];
        self.cln_rune_of(if alternatives.is_empty() { &[] } else { &restriction })
    }

    /// A rune for clnrest with these restrictions, as `createrune` takes them: each is a list of alternatives. Known are
    /// `method=`, `method/` and `pname…=`.
    pub fn cln_rune_of(&self, restrictions: &[&[&str]]) -> String {
        self.cln.rune(restrictions)
    }

    /// Makes an invoice, as `AddInvoice` does, faults included.
    pub fn create(&self, spec: InvoiceSpec) -> Result<Invoice, CreateError> {
        self.world.create(spec).map(|(invoice, _)| invoice)
    }

    /// The invoice of `hash` as it stands now.
    pub fn invoice(&self, hash: &Hash32) -> Option<Invoice> {
        self.world.with_ledger(|ledger, now| ledger.look_up(hash, now)).ok()
    }

    /// Pays an invoice from the payer's balance; gives the preimage.
    pub fn pay(&self, bolt11: &str) -> Result<[u8; 32], PayError> {
        let refused = |error: &dyn std::error::Error| PayError::Refused(error.to_string());
        let order = self.world.order(bolt11, 0, u64::MAX).map_err(|error| refused(&error))?;
        let hash = order.hash;
        self.world.register(order).map_err(|error| refused(&error))?;
        match self.world.attempt(&hash).map(|payment| payment.status) {
            Some(PaymentStatus::Succeeded(preimage)) => Ok(preimage),
            Some(PaymentStatus::Failed(reason)) => Err(PayError::Failed(reason)),
            Some(PaymentStatus::InFlight) | None => Err(PayError::InFlight),
        }
    }

    /// Settles an invoice whose payment was left for later or held.
    pub fn settle_now(&self, hash: &Hash32) -> Result<(), LedgerError> {
        self.world.settle(hash).map(|_| ())
    }

    /// Cancels an unpaid invoice, or gives a held payment back.
    pub fn cancel(&self, hash: &Hash32) -> Result<(), LedgerError> {
        self.world.cancel(hash)
    }

    /// Sets the nodes' clock forward, so that invoices expire.
    pub fn advance_clock(&self, seconds: u64) {
        self.world.advance(seconds);
    }

    /// Gives the receiver other channels.
    pub fn set_channels(&self, channels: Channels) {
        self.world.set_channels(channels);
    }

    /// Replaces the node's certificate, as LND does when its own has expired: connections that exist stay, new ones see the
    /// new one, and `tls.cert` holds it.
    ///
    /// # Errors
    /// No certificate can be made, or the file can't be written.
    pub fn renew_certificate(&self) -> Result<(), StartError> {
        let identity = Identity::generate()?;
        write(&self.tls_cert_path(), identity.cert_pem.as_bytes(), 0o644)?;
        self.tls.send_replace(TlsAcceptor::from(identity.server));
        Ok(())
    }

    /// What the payer can spend, msat.
    pub fn balance_msat(&self) -> u64 {
        self.world.with_ledger(|ledger, _| ledger.balance_msat())
    }

    /// What settled invoices received, msat.
    pub fn received_msat(&self) -> u64 {
        self.world.with_ledger(|ledger, _| ledger.received_msat())
    }

    /// Sets a fault, in addition to those that are set.
    pub fn fault(&self, fault: impl Into<Fault>) {
        let fault = fault.into();
        match fault.kind {
            FaultKind::RefuseConnections => {
                self.set_mode(Mode::Closed);
                self.world.connections.cut_all();
            }
            FaultKind::HangConnections => self.set_mode(Mode::Silent),
            FaultKind::Clock(seconds) => self.world.set_clock_off(seconds),
            FaultKind::Freeze => self.world.freeze(true),
            _ => self.world.faults().set(fault),
        }
    }

    /// Ends all faults; the port serves again. What a fault did to an invoice stays done.
    pub fn clear_faults(&self) {
        self.world.faults().clear();
        self.world.set_clock_off(0);
        self.world.freeze(false);
        self.set_mode(Mode::Open);
    }

    /// What a restart of the node is to its clients: all connections are cut at once, the ledger stays.
    pub fn restart(&self) {
        self.world.connections.cut_all();
    }

    /// Makes a session of Lightning Node Connect. It ends with the simulator.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn lnc_session(&self, options: LncOptions) -> Result<LncSession, StartError> {
        let macaroon = HEXLOWER.encode(&self.oven.mint(options.permit)?);
        let around = Surroundings {
            mailbox: self.mailbox.clone(),
            mode: self.mode.subscribe(),
            door: self.plain.clone(),
            macaroon,
        };
        let _guard = self.runtime.as_ref().map(Runtime::enter);
        Ok(start_session(options, around)?)
    }

    /// `host:port` of the mailbox. Its certificate is the node's: [`Sim::tls_cert_path`].
    pub fn mailbox_address(&self) -> String {
        self.mailbox.address().to_string()
    }

    /// What happens to packets in the mailbox from now on, both ways; the same seed gives the same.
    pub fn mailbox_weather(&self, weather: Weather, seed: u64) {
        self.mailbox.set_weather(weather, seed);
    }

    /// Cuts all connections to the mailbox; its boxes stay.
    pub fn cut_mailbox(&self) {
        self.mailbox.cut();
    }

    /// What a restart of the mailbox is: all connections are cut and all boxes gone. The node makes its own again.
    pub fn restart_mailbox(&self) {
        self.mailbox.restart();
    }

    /// Whether the mailbox takes connections; those that exist are cut when it stops.
    pub fn open_mailbox(&self, open: bool) {
        self.mailbox.set_open(open);
    }

    /// How often a call came so far, refused ones included.
    pub fn calls(&self, method: Method) -> u64 {
        self.world.calls.get(method)
    }

    /// Blocks until a call has come `at_least` times in all. A call of `SubscribeInvoices` counts once it stands: events
    /// after that are not lost to it.
    ///
    /// # Errors
    /// After 30 s.
    pub fn wait_for_calls(&self, method: Method, at_least: u64) -> Result<u64, CallsMissing> {
        let missing = |count| CallsMissing { method, count, wanted: at_least };
        self.world.calls.wait(method, at_least, WAIT).map_err(missing)
    }

    /// Opens another front door on `listen`: `serve` gets its port and the changes of its mode.
    fn open<F>(
        &self,
        listen: SocketAddr,
        serve: impl FnOnce(Port, mpsc::UnboundedReceiver<ModeChange>) -> F,
    ) -> Result<SocketAddr, StartError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let port = {
            let _guard = self.runtime().enter();
            Port::bind(listen).map_err(|source| StartError::Listen { address: listen, source })?
        };
        let address = port.address();
        self.runtime().spawn(serve(port, self.modes()));
        Ok(address)
    }

    /// The world, for further front doors.
    pub(crate) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    /// Where further front doors run.
    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it goes with the simulator only")
    }

    /// Tells a further port of changes of mode.
    pub(crate) fn modes(&self) -> mpsc::UnboundedReceiver<ModeChange> {
        let (modes, changes) = mpsc::unbounded_channel();
        self.modes.lock().unwrap_or_else(PoisonError::into_inner).push(modes);
        changes
    }

    /// Returns when the change has taken effect at every port. A port that can't be had back is logged.
    fn set_mode(&self, mode: Mode) {
        self.mode.send_replace(mode);
        for modes in self.modes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let (done, waiting) = std::sync::mpsc::sync_channel(1);
            let sent = modes.send((mode, done)).is_ok();
            if sent && let Ok(Err(error)) = waiting.recv() {
                tracing::error!(%error, address = %self.address, "a port could not be opened again");
            }
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.world.connections.cut_all();
        if let Some(runtime) = self.runtime.take() {
            // Not waited for, so that a simulator may be dropped within another runtime.
            runtime.shutdown_background();
        }
    }
}

/// A random secp256k1 key. All but a negligible part of 32 random bytes are one.
fn node_key() -> Result<NodeKey, getrandom::Error> {
    loop {
        if let Ok(key) = NodeKey::from_bytes(&random()?) {
            return Ok(key);
        }
    }
}

/// Writes `tls.cert`, `tls.key` and the macaroons where LND has them, with LND's modes.
fn write_files(dir: &Path, identity: &Identity, oven: &Oven) -> Result<(), StartError> {
    let network = dir.join(NETWORK_DIR);
    fs::create_dir_all(&network).map_err(|source| StartError::Write { path: network.clone(), source })?;
    write(&dir.join("tls.cert"), identity.cert_pem.as_bytes(), 0o644)?;
    write(&dir.join("tls.key"), identity.key_pem.as_bytes(), 0o600)?;
    for permit in Permit::ALL {
        let mode = if permit == Permit::Admin { 0o640 } else { 0o644 };
        write(&network.join(permit.file_name()), &oven.mint(permit)?, mode)?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StartError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    options
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, bytes))
        .map_err(|source| StartError::Write { path: path.to_owned(), source })
}
