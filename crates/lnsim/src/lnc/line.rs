//! The node's connection with one client: go-back-N over both boxes, then bytes between them and the front door.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Mailbox;
use super::boxes::{Limits, Name, Side, Slot};
use super::gbn::Gbn;
use super::noise::{Cipher, Ciphers, Wrong};
use super::session::{Node, State};
use crate::listener::Mode;

/// How long it takes a node to notice that its boxes are gone.
const RENEW: Duration = Duration::from_millis(200);

/// Bytes of HTTP/2's preface.
const PREFACE: usize = 24;

/// A client's connection: go-back-N over both boxes.
pub(super) struct Line {
    mailbox: Arc<Mailbox>,
    names: [Name; 2],
    limits: Option<Limits>,
    from_client: Slot,
    /// Made with the first packet, as the reference node does: until then the client finds no box to read.
    to_client: Option<Slot>,
    gbn: Gbn,
    start: Instant,
    mode: watch::Receiver<Mode>,
    ended: watch::Receiver<bool>,
    state: Arc<State>,
}

/// Why a client's connection ended.
pub(super) enum End {
    Client,
    Session,
}

/// What happens on a line.
enum Happened {
    Packet(Vec<u8>),
    Tick,
    /// The boxes are gone.
    Gone,
    End(End),
    /// The window is to be filled.
    Fill,
}

impl Line {
    pub(super) async fn open(node: &Node, names: [Name; 2]) -> Self {
        let mailbox = Arc::clone(&node.around.mailbox);
        let limits = node.options.limits;
        Self {
            from_client: box_to_read(&mailbox, names[1], limits).await,
            to_client: None,
            mailbox,
            names,
            limits,
            gbn: Gbn::new(0, node.options.careful),
            start: Instant::now(),
            mode: node.around.mode.clone(),
            ended: node.ended.clone(),
            state: Arc::clone(&node.state),
        }
    }

    /// Waits for a client to open a connection.
    pub(super) async fn opened(&mut self) -> Option<End> {
        while !self.gbn.is_open() {
            if let Some(end) = self.turn().await {
                return Some(end);
            }
        }
        None
    }

    /// Ends the connection.
    pub(super) fn leave(&mut self) {
        self.gbn.leave();
        self.flush();
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn flush(&mut self) {
        let packets = self.gbn.take_packets();
        if self.to_client.is_none() && !packets.is_empty() {
            self.to_client = self.mailbox.boxes.create_to_write(self.names[0], self.limits);
        }
        for packet in packets {
            self.state.sent();
            // A box that is gone is noticed when it is read.
            if let Some(to_client) = &self.to_client {
                to_client.put(packet, &self.mailbox.sky);
            }
        }
    }

    pub(super) fn send(&mut self, content: &[u8]) {
        let now = self.now();
        self.gbn.send(now, &frame(content));
        self.flush();
    }

    /// Waits for something to happen on the line.
    pub(super) async fn turn(&mut self) -> Option<End> {
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
        let gone = async {
            match &self.to_client {
                Some(to_client) => to_client.gone().await,
                None => std::future::pending().await,
            }
        };
        // Nothing of this holds the line once it is known.
        let happened = tokio::select! {
            packet = self.from_client.next() => packet.map_or(Happened::Gone, Happened::Packet),
            () = due => Happened::Tick,
            () = gone => Happened::Gone,
            () = self.state.fill.notified() => Happened::Fill,
            () = reaches(&mut self.ended, |ended| *ended) => Happened::End(End::Session),
            () = reaches(&mut self.mode, |mode| *mode == Mode::Closed) => Happened::End(End::Client),
        };
        let now = self.now();
        match happened {
            Happened::Packet(packet) => {
                self.state.received(&packet);
                self.gbn.packet(now, &packet);
            }
            Happened::Fill => {
                while self.gbn.has_room() {
                    self.gbn.send(now, &frame(&[]));
                }
            }
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
        self.to_client = None;
        self.from_client = box_to_read(&self.mailbox, self.names[1], self.limits).await;
    }

    pub(super) async fn payload(&mut self, within: Option<Duration>) -> Result<Vec<u8>, End> {
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
    pub(super) async fn pass_on(&mut self, socket: TcpStream, ciphers: Ciphers) -> Result<End, Wrong> {
        let Ciphers { incoming, mut outgoing } = ciphers;
        let mut reader = Reader { cipher: incoming, bytes: Vec::new(), body: None, preface_left: PREFACE };
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

/// A box to read, made if need be, as soon as it can be had.
async fn box_to_read(mailbox: &Mailbox, name: Name, limits: Option<Limits>) -> Slot {
    loop {
        mailbox.boxes.create(name, limits);
        if let Ok(slot) = mailbox.boxes.take(&name, Side::Read).await {
            return slot;
        }
    }
}

/// Messages out of a stream of bytes.
struct Reader {
    cipher: Cipher,
    bytes: Vec<u8>,
    body: Option<usize>,
    /// What has not come yet of HTTP/2's preface.
    preface_left: usize,
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
                Some(_) if self.preface_left > 0 => {
                    // The reference node reads the preface from the connection itself, and loses what else is in the
                    // same message.
                    let taken = plain.len().min(self.preface_left);
                    text.extend(&plain[..taken]);
                    self.preface_left -= taken;
                    None
                }
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

pub(super) fn content(payload: &[u8]) -> Result<&[u8], Wrong> {
    match payload {
        [0, a, b, c, d, content @ ..] if u32::from_be_bytes([*a, *b, *c, *d]) as usize == content.len() => {
            Ok(content)
        }
        _ => Err(Wrong),
    }
}
