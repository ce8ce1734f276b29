//! A session of the node: it keeps the boxes, takes one client after the other, and passes their bytes on to the front
//! door.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bip39::Language;
use bitcoin::secp256k1::{PublicKey, SecretKey};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};

use super::Mailbox;
use super::boxes::{Limits, Name};
use super::line::{End, Line, content};
use super::noise::{self, Wrong};
use crate::listener::Mode;
use crate::permits::Permit;
use crate::world::random;

/// How long the node waits for each act.
const ACT: Duration = Duration::from_secs(5);

/// What a session may do, and how it speaks.
#[derive(Clone, Copy, Debug)]
pub struct LncOptions {
    /// What its macaroon permits.
    pub permit: Permit,
    /// The newest version of the handshake that the node knows: 0, 1 or 2.
    pub version: u8,
    /// Whether it sends less at once, for links on which packets overtake each other.
    pub careful: bool,
    /// How many packets the mailbox takes for each of its boxes; `None` for any number.
    pub limits: Option<Limits>,
    /// Whether the node says nothing after a pairing until [`LncSession::go_on`].
    pub hangs_when_paired: bool,
}

impl Default for LncOptions {
    /// Invoices, version 2, no limits.
    fn default() -> Self {
        Self { permit: Permit::Invoice, version: 2, careful: false, limits: None, hangs_when_paired: false }
    }
}

/// Packets that went through the mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// From the client.
    pub to_node: u64,
    /// From the node.
    pub to_client: u64,
    /// SYNs among those from the client.
    pub syns: u64,
}

/// A session that was made on the node.
pub struct LncSession {
    phrase: String,
    end: watch::Sender<bool>,
    state: Arc<State>,
}

/// What is remembered from one client to the next.
#[derive(Default)]
pub(super) struct State {
    client: Mutex<Option<PublicKey>>,
    /// Handshakes that were finished: by pairing, and by keys.
    handshakes: watch::Sender<[u64; 2]>,
    packets: Mutex<Packets>,
    /// Whether a node that hangs may go on.
    go_on: watch::Sender<bool>,
    /// Asks for the window to be filled.
    pub(super) fill: Notify,
}

impl State {
    pub(super) fn sent(&self) {
        self.packets().to_client += 1;
    }

    pub(super) fn received(&self, packet: &[u8]) {
        let mut packets = self.packets();
        packets.to_node += 1;
        packets.syns += u64::from(packet.first() == Some(&1));
    }

    fn packets(&self) -> MutexGuard<'_, Packets> {
        self.packets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LncSession {
    /// Its pairing phrase.
    pub fn phrase(&self) -> &str {
        &self.phrase
    }

    /// Handshakes so far: pairings, and those by keys alone.
    pub fn handshakes(&self) -> [u64; 2] {
        *self.state.handshakes.borrow()
    }

    /// Packets so far.
    pub fn packets(&self) -> Packets {
        *self.state.packets()
    }

    /// Fills the node's window on the connection that there is with packets that carry nothing.
    pub fn fill_window(&self) {
        self.state.fill.notify_one();
    }

    /// Ends the silence of a node that [hangs](LncOptions::hangs_when_paired).
    pub fn go_on(&self) {
        self.state.go_on.send_replace(true);
    }

    /// Ends it: the client is told, the boxes go.
    pub fn revoke(&self) {
        self.end.send_replace(true);
    }
}

/// What a session needs of the simulator.
pub(crate) struct Surroundings {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) mode: watch::Receiver<Mode>,
    /// Connections for the front door.
    pub(crate) door: mpsc::UnboundedSender<TcpStream>,
    /// The macaroon, hex.
    pub(crate) macaroon: String,
}

/// Starts a session. Call within a runtime.
pub(crate) fn start(options: LncOptions, around: Surroundings) -> Result<LncSession, getrandom::Error> {
    let mut entropy = random::<14>()?;
    // Ten words have 110 bits.
    entropy[13] &= 0xfc;
    let local = loop {
        if let Ok(key) = SecretKey::from_slice(&random::<32>()?) {
            break key;
        }
    };
    let (end, ended) = watch::channel(false);
    let state = Arc::<State>::default();
    let node = Node { options, around, entropy, local, ended, state: Arc::clone(&state), unmask: None };
    tokio::spawn(node.run());
    Ok(LncSession { phrase: phrase(&entropy), end, state })
}

/// The words of some entropy.
fn phrase(entropy: &[u8; 14]) -> String {
    let bits = u128::from_be_bytes({
        let mut wide = [0; 16];
        wide[..14].copy_from_slice(entropy);
        wide
    });
    let list = Language::English.word_list();
    let words: Vec<_> = (1..=10).map(|n| list[(bits >> (128 - 11 * n) & 0x7ff) as usize]).collect();
    words.join(" ")
}

pub(super) struct Node {
    pub(super) options: LncOptions,
    pub(super) around: Surroundings,
    entropy: [u8; 14],
    local: SecretKey,
    pub(super) ended: watch::Receiver<bool>,
    pub(super) state: Arc<State>,
    /// Takes the mask off, once it was needed.
    unmask: Option<PublicKey>,
}

impl Node {
    async fn run(mut self) {
        let mut names = None;
        loop {
            let next = self.names();
            if names.is_some_and(|before| before != next) {
                self.remove(names);
            }
            names = Some(next);
            if *self.around.mode.borrow() == Mode::Closed {
                self.remove(names);
            }
            let mut mode = self.around.mode.clone();
            let mut ended = self.ended.clone();
            tokio::select! {
                open = mode.wait_for(|mode| *mode == Mode::Open) => if open.is_err() { return },
                _ = ended.wait_for(|ended| *ended) => return self.remove(names),
            }
            if let Ok(End::Session) = self.client(next).await {
                return self.remove(names);
            }
        }
    }

    /// The boxes: what the client reads, and what it writes.
    fn names(&self) -> [Name; 2] {
        let client = *self.state.client.lock().unwrap_or_else(PoisonError::into_inner);
        let to_client = match &client {
            Some(client) => noise::session_name(&noise::paired_secret(&self.local, client)),
            None => noise::session_name(&self.entropy),
        };
        let mut to_node = to_client;
        to_node[63] ^= 1;
        [to_client, to_node]
    }

    fn remove(&self, names: Option<[Name; 2]>) {
        for name in names.iter().flatten() {
            self.around.mailbox.boxes.remove(name);
        }
    }

    /// Takes one client, from its SYN to its end.
    async fn client(&mut self, names: [Name; 2]) -> Result<End, Wrong> {
        let mut line = Line::open(self, names).await;
        let end = self.serve(&mut line).await;
        line.leave();
        end
    }

    async fn serve(&mut self, line: &mut Line) -> Result<End, Wrong> {
        if let Some(end) = line.opened().await {
            return Ok(end);
        }
        let known = *self.state.client.lock().unwrap_or_else(PoisonError::into_inner);
        // The phrase is stretched while the client's act is on its way.
        let unmask = match known {
            Some(_) => None,
            None => Some(self.unmask().await?),
        };
        let first = match line.payload(None).await {
            Ok(payload) => payload,
            Err(end) => return Ok(end),
        };
        let act = content(&first)?;
        let auth = format!("Macaroon: {}", self.around.macaroon);
        let ephemeral = SecretKey::from_slice(&random::<32>().map_err(|_| Wrong)?).map_err(|_| Wrong)?;
        let ciphers = match (known, unmask) {
            (Some(client), _) => {
                let (ciphers, answer) = noise::resume(act, &client, &self.local, ephemeral, auth.as_bytes())?;
                line.send(&answer);
                self.state.handshakes.send_modify(|[_, resumed]| *resumed += 1);
                ciphers
            }
            (None, None) => return Err(Wrong),
            (None, Some(unmask)) => {
                let version = self.options.version;
                let (pairing, answer) =
                    noise::pair(act, &unmask, &self.local, ephemeral, version, auth.as_bytes())?;
                line.send(&answer);
                let third = match line.payload(Some(ACT)).await {
                    Ok(payload) => payload,
                    Err(end) => return Ok(end),
                };
                let (client, ciphers) = pairing.finish(content(&third)?)?;
                if version == 2 {
                    *self.state.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
                }
                self.state.handshakes.send_modify(|[paired, _]| *paired += 1);
                let mut go_on = self.state.go_on.subscribe();
                while self.options.hangs_when_paired && !*go_on.borrow_and_update() {
                    tokio::select! {
                        changed = go_on.changed() => if changed.is_err() { return Ok(End::Session) },
                        end = line.turn() => if let Some(end) = end { return Ok(end) },
                    }
                }
                ciphers
            }
        };
        // While the node is silent the line stands, and nobody answers behind it.
        let mut mode = self.around.mode.clone();
        while *mode.borrow_and_update() != Mode::Open {
            tokio::select! {
                changed = mode.changed() => if changed.is_err() { return Ok(End::Session) },
                end = line.turn() => if let Some(end) = end { return Ok(end) },
            }
        }
        let (inner, outer) = pair_of_sockets().await.map_err(|_| Wrong)?;
        // The front door ends only with the simulator.
        let _ = self.around.door.send(outer);
        line.pass_on(inner, ciphers).await
    }

    async fn unmask(&mut self) -> Result<PublicKey, Wrong> {
        if let Some(unmask) = self.unmask {
            return Ok(unmask);
        }
        let entropy = self.entropy;
        let unmask = tokio::task::spawn_blocking(move || noise::unmask_with(&entropy)).await;
        let unmask = unmask.map_err(|_| Wrong)??;
        self.unmask = Some(unmask);
        Ok(unmask)
    }
}

/// Two ends of a TCP connection.
async fn pair_of_sockets() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let inner = TcpStream::connect(listener.local_addr()?).await?;
    loop {
        let (outer, from) = listener.accept().await?;
        if from == inner.local_addr()? {
            inner.set_nodelay(true)?;
            outer.set_nodelay(true)?;
            return Ok((inner, outer));
        }
    }
}
