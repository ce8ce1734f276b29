//! A session of the node: it keeps the boxes, takes one client after the other, and passes their bytes on to the front
//! door.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bip39::Language;
use bitcoin::secp256k1::{PublicKey, SecretKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Mailbox;
use super::boxes::{Name, Side, Slot};
use super::gbn::Gbn;
use super::noise::{self, Cipher, Ciphers, Wrong};
use crate::listener::Mode;
use crate::permits::Permit;
use crate::world::random;

/// How long the node waits for each act.
const ACT: Duration = Duration::from_secs(5);

/// How long it takes a node to notice that its boxes are gone.
const RENEW: Duration = Duration::from_millis(200);

/// What a session may do, and how it speaks.
#[derive(Clone, Copy, Debug)]
pub struct LncOptions {
    /// What its macaroon permits.
    pub permit: Permit,
    /// The newest version of the handshake that the node knows: 0, 1 or 2.
    pub version: u8,
    /// Whether it sends less at once, for links on which packets overtake each other.
    pub careful: bool,
}

impl Default for LncOptions {
    /// Invoices, version 2.
    fn default() -> Self {
        Self { permit: Permit::Invoice, version: 2, careful: false }
    }
}

/// A session that was made on the node.
pub struct LncSession {
    phrase: String,
    end: watch::Sender<bool>,
    state: Arc<State>,
}

/// What is remembered from one client to the next.
#[derive(Default)]
struct State {
    client: Mutex<Option<PublicKey>>,
    /// Handshakes that were finished: by pairing, and by keys.
    handshakes: watch::Sender<[u64; 2]>,
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

struct Node {
    options: LncOptions,
    around: Surroundings,
    entropy: [u8; 14],
    local: SecretKey,
    ended: watch::Receiver<bool>,
    state: Arc<State>,
    /// Takes the mask off, once it was needed.
    unmask: Option<PublicKey>,
}

/// Why a client's connection ended.
enum End {
    Client,
    Session,
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
        line.gbn.leave();
        line.flush();
        end
    }

    async fn serve(&mut self, line: &mut Line) -> Result<End, Wrong> {
        let first = match line.payload(None).await {
            Ok(payload) => payload,
            Err(end) => return Ok(end),
        };
        let act = content(&first)?;
        let auth = format!("Macaroon: {}", self.around.macaroon);
        let ephemeral = SecretKey::from_slice(&random::<32>().map_err(|_| Wrong)?).map_err(|_| Wrong)?;
        let known = *self.state.client.lock().unwrap_or_else(PoisonError::into_inner);
        let ciphers = match known {
            Some(client) => {
                let (ciphers, answer) = noise::resume(act, &client, &self.local, ephemeral, auth.as_bytes())?;
                line.send(&answer);
                self.state.handshakes.send_modify(|[_, resumed]| *resumed += 1);
                ciphers
            }
            None => {
                let unmask = self.unmask().await?;
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

/// A client's connection: go-back-N over both boxes.
struct Line {
    mailbox: Arc<Mailbox>,
    names: [Name; 2],
    from_client: Slot,
    to_client: Slot,
    gbn: Gbn,
    start: Instant,
    mode: watch::Receiver<Mode>,
    ended: watch::Receiver<bool>,
}

/// What happens on a line.
enum Happened {
    Packet(Vec<u8>),
    Tick,
    /// The boxes are gone.
    Gone,
    End(End),
}

impl Line {
    async fn open(node: &Node, names: [Name; 2]) -> Self {
        let mailbox = Arc::clone(&node.around.mailbox);
        let (from_client, to_client) = slots(&mailbox, names).await;
        Self {
            mailbox,
            names,
            from_client,
            to_client,
            gbn: Gbn::new(0, node.options.careful),
            start: Instant::now(),
            mode: node.around.mode.clone(),
            ended: node.ended.clone(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn flush(&mut self) {
        for packet in self.gbn.take_packets() {
            // A box that is gone is noticed when it is read.
            self.to_client.put(packet, &self.mailbox.sky);
        }
    }

    fn send(&mut self, content: &[u8]) {
        let now = self.now();
        self.gbn.send(now, &frame(content));
        self.flush();
    }

    /// Waits for something to happen on the line.
    async fn turn(&mut self) -> Option<End> {
        self.flush();
        if self.gbn.is_over() {
            return Some(End::Client);
        }
        let tick = self.gbn.next_tick_ms();
        let due = async {
            match tick {
                u64::MAX => std::future::pending().await,
                at => sleep_until(self.start + Duration::from_millis(at)).await,
            }
        };
        // Nothing of this holds the line once it is known.
        let happened = tokio::select! {
            packet = self.from_client.next() => packet.map_or(Happened::Gone, Happened::Packet),
            () = due => Happened::Tick,
            () = self.to_client.gone() => Happened::Gone,
            () = reaches(&mut self.ended, |ended| *ended) => Happened::End(End::Session),
            () = reaches(&mut self.mode, |mode| *mode == Mode::Closed) => Happened::End(End::Client),
        };
        let now = self.now();
        match happened {
            Happened::Packet(packet) => self.gbn.packet(now, &packet),
            Happened::Tick => self.gbn.tick(now),
            Happened::Gone => self.renew().await,
            Happened::End(end) => return Some(end),
        }
        self.flush();
        None
    }

    /// The boxes are gone: makes them again and goes on.
    async fn renew(&mut self) {
        sleep(RENEW).await;
        (self.from_client, self.to_client) = slots(&self.mailbox, self.names).await;
    }

    async fn payload(&mut self, within: Option<Duration>) -> Result<Vec<u8>, End> {
        let late = async {
            match within {
                Some(within) => sleep(within).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(late);
        loop {
            if let Some(payload) = self.gbn.take_payload() {
                return Ok(payload);
            }
            tokio::select! {
                end = self.turn() => if let Some(end) = end { return Err(end) },
                () = &mut late => return Err(End::Client),
            }
        }
    }

    /// Passes text on until either side ends.
    async fn pass_on(&mut self, socket: TcpStream, ciphers: Ciphers) -> Result<End, Wrong> {
        let Ciphers { incoming, mut outgoing } = ciphers;
        let mut reader = Reader { cipher: incoming, bytes: Vec::new(), body: None };
        let (mut from_door, mut to_door) = socket.into_split();
        let mut buffer = vec![0; 16 * 1024];
        let mut pending = VecDeque::new();
        loop {
            while let Some(payload) = self.gbn.take_payload() {
                let text = reader.read(content(&payload)?)?;
                if to_door.write_all(&text).await.is_err() {
                    return Ok(End::Client);
                }
            }
            while self.gbn.has_room()
                && let Some(part) = pending.pop_front()
            {
                let part: Vec<u8> = part;
                self.send(&part);
            }
            let room = pending.is_empty() && self.gbn.has_room();
            tokio::select! {
                end = self.turn() => if let Some(end) = end { return Ok(end) },
                read = from_door.read(&mut buffer), if room => match read {
                    Ok(length) if length > 0 => {
                        let header = (length as u16).to_be_bytes();
                        pending.push_back(outgoing.seal(&header)?);
                        pending.push_back(outgoing.seal(&buffer[..length])?);
                    }
                    Ok(_) | Err(_) => return Ok(End::Client),
                },
            }
        }
    }
}

/// Waits until a value is as wanted; for ever, if nobody is left to change it.
async fn reaches<T>(value: &mut watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) {
    if value.wait_for(wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Both boxes, as soon as they can be had.
async fn slots(mailbox: &Mailbox, [to_client, to_node]: [Name; 2]) -> (Slot, Slot) {
    loop {
        mailbox.boxes.create(to_client);
        mailbox.boxes.create(to_node);
        let from_client = mailbox.boxes.take(&to_node, Side::Read).await;
        let to_client = mailbox.boxes.take(&to_client, Side::Write).await;
        if let (Ok(from_client), Ok(to_client)) = (from_client, to_client) {
            return (from_client, to_client);
        }
    }
}

/// Messages out of a stream of bytes.
struct Reader {
    cipher: Cipher,
    bytes: Vec<u8>,
    body: Option<usize>,
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Wrong> {
        self.bytes.extend(bytes);
        let mut text = Vec::new();
        loop {
            let wanted = self.body.unwrap_or(18);
            if self.bytes.len() < wanted {
                return Ok(text);
            }
            let sealed: Vec<u8> = self.bytes.drain(..wanted).collect();
            let plain = self.cipher.open(&sealed)?;
            self.body = match self.body {
                None => Some(usize::from(u16::from_be_bytes([plain[0], plain[1]])) + 16),
                Some(_) => {
                    text.extend(plain);
                    None
                }
            };
        }
    }
}

/// `MsgData` around a content.
fn frame(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&[0], length.as_slice(), content].concat()
}

fn content(payload: &[u8]) -> Result<&[u8], Wrong> {
    match payload {
        [0, a, b, c, d, content @ ..] if u32::from_be_bytes([*a, *b, *c, *d]) as usize == content.len() => {
            Ok(content)
        }
        _ => Err(Wrong),
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
