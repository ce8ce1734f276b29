//! What runs a session: go-back-N between the mailbox's boxes and the stream.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::error::LinkError;
use super::link::{Link, News};
use crate::gbn::{Closed, Connection, Event, Timing};
use crate::{CipherError, HEADER_LEN, Opener, Sealer, msg_data};

/// The longest text of a message of ours: HTTP/2's frames have so much.
const CHUNK: usize = 16 * 1024;

/// What go-back-N, `MsgData`, the message's header and tag, and the mailbox's own length add to a text.
const OVERHEAD: usize = 4 + msg_data::HEADER_LEN + HEADER_LEN + 16 + 3;

/// The mailbox reads in pieces of this size, and takes a frame of whole pieces to go on with the next one: such frames
/// are not sent.
const MAILBOX_PIECE: usize = 4096;

/// Bytes of HTTP/2's preface. They are a message of their own: the reference node reads them from the connection itself
/// and loses what else is in the same message.
const PREFACE: usize = 24;

/// How much the reader of the stream may be behind before nothing more is taken from the mailbox.
const BEHIND: usize = 1 << 20;

/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_millis(700);

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// We closed it.
    #[error("the session was closed on this side")]
    Here,
    /// The node closed it: it restarts, or the session was revoked or has expired.
    #[error("the node closed the session")]
    There,
    /// Nothing came any more, for all we asked.
    #[error("the node has fallen silent{}", .0.as_ref().map(|why| format!("; last, {why}")).unwrap_or_default())]
    Silent(Option<LinkError>),
    /// The node or somebody between sends what can't be right.
    #[error("the session broke: {0}")]
    Broken(String),
}

/// Go-back-N over a link.
pub(super) struct Driver {
    pub(super) gbn: Connection,
    link: Link,
}

/// What a driver has to tell.
#[derive(Debug)]
pub(super) enum Happened {
    Gbn(Event),
    Link(News),
}

impl Driver {
    pub(super) fn new(link: Link) -> Driver {
        Driver { gbn: Connection::client(Instant::now().into_std(), Timing::CLIENT), link }
    }

    /// Runs until there is something to tell. It may be given up and called again at any time.
    pub(super) async fn next(&mut self) -> Happened {
        loop {
            while let Some(packet) = self.gbn.poll_transmit() {
                self.link.put(packet);
            }
            if let Some(event) = self.gbn.poll_event() {
                return Happened::Gbn(event);
            }
            let timeout = self.gbn.timeout().map(Instant::from_std);
            let due = async {
                match timeout {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(packet) = self.link.incoming.recv() => self.gbn.receive(now(), &packet),
                Some(news) = self.link.news.recv() => {
                    if matches!(news, News::Back) {
                        self.gbn.link_is_back(now());
                    }
                    return Happened::Link(news);
                }
                () = due => self.gbn.handle_timeout(now()),
            }
        }
    }

    /// FIN, and both boxes are given up.
    pub(super) async fn close(mut self) {
        self.gbn.close();
        while let Some(packet) = self.gbn.poll_transmit() {
            self.link.put(packet);
        }
        self.link.close(FAREWELL).await;
    }
}

pub(super) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// The transport: text between the pipe and go-back-N.
pub(super) struct Transport {
    pub(super) driver: Driver,
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
    pub(super) pipe: DuplexStream,
    pub(super) close: watch::Receiver<bool>,
    pub(super) ended: Arc<OnceLock<Ended>>,
}

impl Transport {
    /// Runs until the session is over, from whichever side.
    pub(super) async fn run(self) {
        let Transport { mut driver, sealer, opener, pipe, mut close, ended } = self;
        let (from_app, to_app) = tokio::io::split(pipe);
        let preface_left = PREFACE;
        let pump = Pump { driver: &mut driver, sealer, opener, preface_left, close: &mut close };
        let why = pump.run(from_app, to_app).await;
        // Nobody else sets it.
        let _ = ended.set(why);
        driver.close().await;
        // Dropped last: who waits for the end waits for this.
        drop(close);
    }
}

struct Pump<'a> {
    driver: &'a mut Driver,
    sealer: Sealer,
    opener: Opener,
    /// What was not sent yet of HTTP/2's preface.
    preface_left: usize,
    close: &'a mut watch::Receiver<bool>,
}

impl Pump<'_> {
    async fn run(
        mut self,
        mut from_app: ReadHalf<DuplexStream>,
        mut to_app: WriteHalf<DuplexStream>,
    ) -> Ended {
        let mut buffer = vec![0; CHUNK];
        // Sealed and not yet taken by go-back-N.
        let mut pending: VecDeque<Vec<u8>> = VecDeque::new();
        // Opened and not yet taken by the application.
        let mut text: Vec<u8> = Vec::new();
        let mut trouble = None;
        loop {
            while let Some(payload) = pending.pop_front() {
                if let Err(payload) = self.driver.gbn.send(now(), payload) {
                    pending.push_front(payload);
                    break;
                }
            }
            let room = pending.is_empty() && self.driver.gbn.has_room();
            tokio::select! {
                happened = self.driver.next(), if text.len() < BEHIND => match happened {
                    Happened::Gbn(Event::Payload(payload)) => {
                        if let Err(why) = self.take(&payload, &mut text) {
                            return Ended::Broken(why);
                        }
                        trouble = None;
                    }
                    Happened::Gbn(Event::Open) | Happened::Link(News::Back) => {}
                    Happened::Gbn(Event::Closed(why)) => return ended(why, trouble),
                    Happened::Link(News::Down(why)) => trouble = Some(why),
                },
                read = from_app.read(&mut buffer), if room => match read {
                    Ok(length) if length > 0 => {
                        let length = length + rest(&mut from_app, &mut buffer[length..]).await;
                        if let Err(error) = self.give(&buffer[..length], &mut pending) {
                            return Ended::Broken(error.to_string());
                        }
                    }
                    Ok(_) | Err(_) => return Ended::Here,
                },
                written = to_app.write(&text), if !text.is_empty() => match written {
                    Ok(length) => drop(text.drain(..length)),
                    Err(_) => return Ended::Here,
                },
                () = told(self.close) => return Ended::Here,
            }
        }
    }

    fn take(&mut self, payload: &[u8], text: &mut Vec<u8>) -> Result<(), String> {
        let content = msg_data::decode(payload).map_err(|error| error.to_string())?;
        self.opener.open(content, text).map_err(|error| error.to_string())
    }

    fn give(&mut self, text: &[u8], pending: &mut VecDeque<Vec<u8>>) -> Result<(), CipherError> {
        let (preface, text) = text.split_at(text.len().min(self.preface_left));
        self.preface_left -= preface.len();
        let whole_pieces = (text.len() + OVERHEAD).is_multiple_of(MAILBOX_PIECE);
        let (text, last) = text.split_at(if whole_pieces { text.len() - 1 } else { text.len() });
        for part in [preface, text, last] {
            if !part.is_empty() {
                let (header, body) = self.sealer.seal(part)?;
                // Both in one packet, because the mailbox counts packets; the other side reads a stream.
                pending.push_back(msg_data::encode(&[header, body].concat()));
            }
        }
        Ok(())
    }
}

/// What the application has written besides, once it had its turn: HTTP/2 writes a call's headers and its message one
/// after the other, and together they are one packet. Returns how much of `buffer` is filled.
async fn rest(from_app: &mut ReadHalf<DuplexStream>, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        tokio::task::yield_now().await;
        match from_app.read(&mut buffer[filled..]).now_or_never() {
            Some(Ok(length)) if length > 0 => filled += length,
            // Nothing is there now; an end or an error is there at the next read as well.
            Some(Ok(_) | Err(_)) | None => break,
        }
    }
    filled
}

/// Waits until somebody wants the end; one who can't say so any more doesn't.
async fn told(close: &mut watch::Receiver<bool>) {
    if close.wait_for(|close| *close).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn ended(why: Closed, trouble: Option<LinkError>) -> Ended {
    match why {
        Closed::Here => Ended::Here,
        Closed::There => Ended::There,
        Closed::Silent => Ended::Silent(trouble),
        Closed::Broken(what) => Ended::Broken(what.to_owned()),
    }
}
