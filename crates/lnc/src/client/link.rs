//! Both boxes of a session, opened again whenever the mailbox drops them.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::error::LinkError;
use super::server::Server;
use crate::StreamId;
use crate::mailbox::MailboxError;

/// Packets that wait to be read.
const INCOMING: usize = 64;

/// First pause before a box that is not there is looked for again: a node makes the box that a client reads when it has
/// had the client's first packet, so the first look is in vain.
const NOT_YET: Duration = Duration::from_millis(5);

/// First pause after anything else.
const LOST: Duration = Duration::from_millis(50);

/// Longest pause.
const LONGEST: Duration = Duration::from_secs(1);

/// How long the mailbox gets to pass on the last packet before its box is given up.
const LINGER: Duration = Duration::from_millis(150);

/// The two boxes.
pub(super) struct Link {
    pub(super) incoming: mpsc::Receiver<Vec<u8>>,
    pub(super) news: mpsc::UnboundedReceiver<News>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Ends with the link.
    tasks: JoinSet<()>,
    /// Tells the reader to let go of its box.
    stop: Option<oneshot::Sender<()>>,
}

/// What becomes of the boxes.
#[derive(Debug)]
pub(super) enum News {
    /// One was lost, or can't be opened; it is tried again.
    Down(LinkError),
    /// One that was lost is open again.
    Back,
}

enum Outgoing {
    Packet(Vec<u8>),
    /// Nothing follows.
    End(oneshot::Sender<()>),
}

impl Link {
    /// Starts to open both boxes of the session's client.
    pub(super) fn open(server: &Server, session: &StreamId) -> Link {
        let (to_reader, incoming) = mpsc::channel(INCOMING);
        let (tell, news) = mpsc::unbounded_channel();
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let (here, stream, told) = (server.clone(), session.to_client(), tell.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = read(here, stream, to_reader, told) => {}
                _ = stopped => {}
            }
        });
        tasks.spawn(write(server.clone(), session.to_server(), queue, tell));
        Link { incoming, news, outgoing, tasks, stop: Some(stop) }
    }

    /// Queues a packet. While the box is lost it is lost too.
    pub(super) fn put(&self, packet: Vec<u8>) {
        // The writer ends with the link only.
        let _ = self.outgoing.send(Outgoing::Packet(packet));
    }

    /// Sends what is queued and gives both boxes up; at most `within`.
    pub(super) async fn close(mut self, within: Duration) {
        let (sent, done) = oneshot::channel();
        let _ = self.outgoing.send(Outgoing::End(sent));
        let _ = timeout(within, done).await;
        drop(self.stop.take());
        let _ = timeout(within, async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}

async fn read(
    server: Server,
    stream: StreamId,
    packets: mpsc::Sender<Vec<u8>>,
    news: mpsc::UnboundedSender<News>,
) {
    let mut pauses = Pauses::default();
    let mut again = false;
    loop {
        let failure = match server.receive(&stream).await {
            Ok(mut receiver) => {
                if again {
                    let _ = news.send(News::Back);
                }
                loop {
                    match receiver.next().await {
                        Ok(packet) => {
                            pauses = Pauses::default();
                            if packets.send(packet).await.is_err() {
                                return receiver.close().await;
                            }
                        }
                        Err(failure) => break failure,
                    }
                }
            }
            Err(failure) => failure,
        };
        again = true;
        let pause = pauses.next(&failure);
        if news.send(News::Down(failure)).is_err() {
            return;
        }
        sleep(pause).await;
    }
}

async fn write(
    server: Server,
    stream: StreamId,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    news: mpsc::UnboundedSender<News>,
) {
    let mut pauses = Pauses::default();
    let mut again = false;
    loop {
        let failure = match server.send(&stream).await {
            Ok(mut sender) => {
                if again {
                    // What is queued was meant for the box that was lost; it is all sent anew.
                    while let Ok(waiting) = queue.try_recv() {
                        if let Outgoing::End(sent) = waiting {
                            let _ = sent.send(());
                            return;
                        }
                    }
                    let _ = news.send(News::Back);
                }
                loop {
                    let next = tokio::select! {
                        failure = sender.failure() => break failure,
                        next = queue.recv() => next,
                    };
                    match next {
                        Some(Outgoing::Packet(packet)) => match sender.put(&packet).await {
                            Ok(()) => pauses.succeeded(),
                            Err(failure) => break failure,
                        },
                        Some(Outgoing::End(sent)) => {
                            sleep(LINGER).await;
                            sender.close().await;
                            let _ = sent.send(());
                            return;
                        }
                        None => return,
                    }
                }
            }
            Err(failure) => failure,
        };
        again = true;
        let pause = pauses.next(&failure);
        if news.send(News::Down(failure)).is_err() {
            return;
        }
        sleep(pause).await;
    }
}

/// The pauses before further attempts.
#[derive(Default)]
struct Pauses {
    failures: u32,
    successes: u32,
}

impl Pauses {
    fn next(&mut self, failure: &LinkError) -> Duration {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        let first = match failure {
            LinkError::Mailbox(MailboxError::NotFound) => NOT_YET,
            // A box that is occupied was waited for by the mailbox itself.
            LinkError::Mailbox(MailboxError::Occupied) => LOST * 2,
            LinkError::Mailbox(MailboxError::Other(_) | MailboxError::Malformed)
            | LinkError::Unreachable(_)
            | LinkError::Certificate(_) => LOST,
        };
        first.saturating_mul(2_u32.saturating_pow(self.failures - 1)).min(LONGEST)
    }

    /// A packet was taken. The mailbox says so before it looks for the box, so that one proves nothing.
    fn succeeded(&mut self) {
        self.successes += 1;
        if self.successes > 20 {
            self.failures = 0;
        }
    }
}
