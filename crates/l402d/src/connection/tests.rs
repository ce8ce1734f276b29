//! A connection's frames over a socket pair, with the engine over a wallet that does as it is told.

use std::sync::atomic::Ordering;

use agent_api::{Proof, Secret32};
use store::{Claim, Claimed, Model, Store};
use tokio::task::JoinHandle;

use super::*;
use crate::testing::{Act, Wallet, hash, id, preimage};

struct Host {
    engine: Arc<Engine>,
    wallet: Arc<Wallet>,
    store: Arc<Model>,
    identity: Arc<Identity>,
    keys: watch::Sender<Vec<RingKey>>,
    stop: watch::Sender<bool>,
}

impl Host {
    fn new() -> Self {
        let (wallet, store) = (Arc::new(Wallet::new()), Arc::new(Model::new()));
        let engine = Engine::start(vec![("default".into(), wallet.clone())], store.clone());
        let keys = watch::channel(vec![Secret32::new([1; 32]).into()]);
        let identity = Arc::new(Identity { instance: [9; 16], keys: keys.1 });
        Self { engine, wallet, store, identity, keys: keys.0, stop: watch::channel(false).0 }
    }

    fn connect(&self) -> Front {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let served =
            tokio::spawn(serve(theirs, self.engine.clone(), self.identity.clone(), self.stop.subscribe()));
        Front { stream: ours, buffer: Vec::new(), served }
    }

    async fn welcome(&self) -> Front {
        let mut front = self.connect();
        front.send(&[ToAgent::Hello { protocol: PROTOCOL, pid: 42 }]).await;
        let keys = self.identity.keys.borrow().clone();
        let welcome = FromAgent::Welcome { protocol: PROTOCOL, instance: [9; 16], keys };
        assert_eq!(front.next().await, Some(welcome));
        front
    }

    /// Draws as another request would.
    async fn is_left(&self, n: u32, request: u32) -> bool {
        let claim = Claim { payment_hash: hash(n).0, request: id(request), limit: 1, units: 1 };
        self.store.claim(claim).await.unwrap() == Claimed::Granted { remaining: 0 }
    }
}

struct Front {
    stream: UnixStream,
    buffer: Vec<u8>,
    served: JoinHandle<()>,
}

impl Front {
    async fn send(&mut self, frames: &[ToAgent]) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut bytes));
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// `None`: closed.
    async fn next(&mut self) -> Option<FromAgent> {
        loop {
            if let Some((frame, consumed)) = FromAgent::decode(&self.buffer).unwrap() {
                self.buffer.drain(..consumed);
                return Some(frame);
            }
            // An abrupt end, with bytes of ours unread, is an error to the reader.
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}

fn prove(frame_id: u64, n: u32, request: u32) -> ToAgent {
    let proof = Proof::Preimage(Secret32::new(*preimage(n).expose()));
    redeem(frame_id, n, request, proof)
}

fn redeem(frame_id: u64, n: u32, request: u32, proof: Proof) -> ToAgent {
    ToAgent::Redeem {
        id: frame_id,
        request: id(request),
        backend: "default".into(),
        payment_hash: hash(n).0,
        proof,
        limit: Some(1),
        draw: true,
    }
}

fn invoice(frame_id: u64) -> ToAgent {
    let (backend, description, path) = ("default".into(), "a path".into(), "/a".into());
    ToAgent::Invoice { id: frame_id, backend, amount_msat: 10_000, description, path, rate: None }
}

#[tokio::test]
async fn beyond_the_rate_no_invoice_is_made() {
    let host = Host::new();
    let mut front = host.welcome().await;
    let ask = |frame_id| {
        let mut ask = invoice(frame_id);
        if let ToAgent::Invoice { rate, .. } = &mut ask {
            *rate = Some(agent_api::Rate { key: "/a 192.0.2.1".into(), limit: 2, window_s: 3600 });
        }
        ask
    };
    for id in 1..=2 {
        front.send(&[ask(id)]).await;
        assert!(matches!(front.next().await, Some(FromAgent::Invoice { .. })));
    }
    front.send(&[ask(3)]).await;
    let limited = front.next().await;
    let Some(FromAgent::Failed { id: 3, fault: Fault::Limited { retry_after_s }, .. }) = limited else {
        panic!("{limited:?}")
    };
    assert!((1790..=1800).contains(&retry_after_s), "{retry_after_s}");
    front.send(&[invoice(4)]).await;
    assert!(matches!(front.next().await, Some(FromAgent::Invoice { id: 4, .. })), "another location");
}

#[tokio::test]
async fn questions_are_answered_by_id() {
    let host = Host::new();
    let mut front = host.welcome().await;
    front.send(&[invoice(1), prove(2, 7, 1), prove(3, 7, 2)]).await;
    let mut answers = [front.next().await.unwrap(), front.next().await.unwrap(), front.next().await.unwrap()];
    answers.sort_by_key(FromAgent::id);
    let [FromAgent::Invoice { id: 1, payment_hash, .. }, second, third] = &answers else {
        panic!("{answers:?}")
    };
    assert_eq!(*payment_hash, hash(1).0);
    let granted = |id| FromAgent::Granted { id, remaining: Some(0) };
    let either = [[granted(2), FromAgent::UsedUp { id: 3 }], [FromAgent::UsedUp { id: 2 }, granted(3)]];
    assert!(either.contains(&[second.clone(), third.clone()]), "{answers:?}");
}

#[tokio::test]
async fn new_keys_go_to_who_is_connected_between_two_answers() {
    let host = Host::new();
    let (mut one, mut other) = (host.welcome().await, host.welcome().await);
    one.send(&[prove(1, 1, 1)]).await;
    assert!(matches!(one.next().await, Some(FromAgent::Granted { id: 1, .. })));
    let keys: Vec<RingKey> = vec![Secret32::new([2; 32]).into(), Secret32::new([1; 32]).into()];
    host.keys.send_replace(keys.clone());
    let expected = FromAgent::Welcome { protocol: PROTOCOL, instance: [9; 16], keys };
    assert_eq!((one.next().await.as_ref(), other.next().await.as_ref()), (Some(&expected), Some(&expected)));
    one.send(&[prove(2, 2, 2)]).await;
    assert!(matches!(one.next().await, Some(FromAgent::Granted { id: 2, .. })));
    // Who comes later hears of the new ones at once.
    host.welcome().await;
}

#[tokio::test]
async fn a_frame_may_come_in_pieces_and_with_others() {
    let host = Host::new();
    let mut front = host.connect();
    let mut bytes = Vec::new();
    ToAgent::Hello { protocol: PROTOCOL, pid: 1 }.encode(&mut bytes);
    prove(5, 1, 1).encode(&mut bytes);
    for byte in bytes {
        front.stream.write_all(&[byte]).await.unwrap();
    }
    assert!(matches!(front.next().await, Some(FromAgent::Welcome { .. })));
    assert_eq!(front.next().await, Some(FromAgent::Granted { id: 5, remaining: Some(0) }));
}

#[tokio::test]
async fn a_resend_on_a_new_connection_gets_the_same_grant() {
    let host = Host::new();
    let mut front = host.welcome().await;
    front.send(&[prove(1, 1, 1)]).await;
    front.next().await;
    drop(front);
    let mut front = host.welcome().await;
    front.send(&[prove(8, 1, 1)]).await;
    assert_eq!(front.next().await, Some(FromAgent::Granted { id: 8, remaining: Some(0) }));
    front.send(&[prove(9, 1, 2)]).await;
    assert_eq!(front.next().await, Some(FromAgent::UsedUp { id: 9 }));
}

#[tokio::test]
async fn a_cancel_after_the_grant_gives_back_once() {
    let host = Host::new();
    let mut front = host.welcome().await;
    front.send(&[prove(1, 1, 1)]).await;
    assert_eq!(front.next().await, Some(FromAgent::Granted { id: 1, remaining: Some(0) }));
    // The answer to 2 tells that both cancels were read.
    front.send(&[ToAgent::Cancel { id: 1 }, ToAgent::Cancel { id: 1 }, prove(2, 2, 2)]).await;
    front.next().await;
    host.engine.settle_undos().await;
    assert!(host.is_left(1, 10).await);
    assert!(!host.is_left(1, 11).await, "only once");
}

#[tokio::test]
async fn a_cancel_in_flight_ends_it_and_draws_nothing() {
    let host = Host::new();
    let mut front = host.welcome().await;
    host.wallet.on_look_up(Act::Hang);
    front.send(&[redeem(1, 1, 1, Proof::LookUp(None)), prove(2, 2, 2)]).await;
    front.next().await;
    front.send(&[ToAgent::Cancel { id: 1 }, ToAgent::Cancel { id: 99 }, prove(3, 3, 3)]).await;
    assert_eq!(front.next().await, Some(FromAgent::Granted { id: 3, remaining: Some(0) }));
    host.engine.settle_undos().await;
    assert!(host.is_left(1, 10).await);
    // Claim and cancel in one packet: whichever is first, nothing stays drawn.
    front.send(&[prove(4, 4, 4), ToAgent::Cancel { id: 4 }, prove(5, 5, 5)]).await;
    while front.next().await.unwrap().id() != 5 {}
    host.engine.settle_undos().await;
    assert!(host.is_left(4, 11).await);
}

#[tokio::test]
async fn a_fault_of_ours_is_an_answer_too() {
    let host = Host::new();
    let mut front = host.welcome().await;
    host.wallet.on_look_up(Act::Panic);
    host.wallet.on_create(Act::Panic);
    front.send(&[redeem(1, 1, 1, Proof::LookUp(None))]).await;
    assert!(matches!(front.next().await, Some(FromAgent::Failed { id: 1, fault: Fault::Internal, .. })));
    front.send(&[invoice(2)]).await;
    assert!(matches!(front.next().await, Some(FromAgent::Failed { id: 2, fault: Fault::Internal, .. })));
    host.wallet.on_create(Act::Answer(Ok(())));
    front.send(&[invoice(3)]).await;
    assert!(matches!(front.next().await, Some(FromAgent::Invoice { id: 3, .. })));
}

#[tokio::test]
async fn more_than_can_be_in_flight_is_refused_at_once() {
    let host = Host::new();
    let mut front = host.welcome().await;
    host.wallet.on_look_up(Act::Hang);
    // All wait for one look-up; one more is told to come back.
    for n in 0..=MAX_IN_FLIGHT as u64 {
        front.send(&[redeem(n, 1, n as u32, Proof::LookUp(None))]).await;
    }
    let busy = front.next().await.unwrap();
    assert_eq!(busy.id(), MAX_IN_FLIGHT as u64);
    assert!(matches!(busy, FromAgent::Failed { fault: Fault::Unavailable { retry_after_s: 1 }, .. }));
    assert_eq!(host.wallet.look_ups.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_no_front_end_is_disconnected() {
    let host = Host::new();
    let hello = ToAgent::Hello { protocol: PROTOCOL, pid: 1 };
    let mut silent = host.connect();
    silent.stream.shutdown().await.unwrap();
    assert_eq!(silent.next().await, None);
    let mut rude = host.connect();
    rude.send(&[invoice(1)]).await;
    assert_eq!(rude.next().await, None);
    let mut loud = host.connect();
    loud.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(loud.next().await, None);
    let mut twice = host.welcome().await;
    twice.send(&[hello]).await;
    assert_eq!(twice.next().await, None);
    let mut repeating = host.welcome().await;
    host.wallet.on_look_up(Act::Hang);
    repeating.send(&[redeem(1, 1, 1, Proof::LookUp(None)), redeem(1, 1, 2, Proof::LookUp(None))]).await;
    assert_eq!(repeating.next().await, None);
}

#[tokio::test]
async fn another_version_is_told_ours_and_no_keys() {
    let host = Host::new();
    let mut front = host.connect();
    let mut bytes = Vec::new();
    ToAgent::Hello { protocol: PROTOCOL, pid: 1 }.encode(&mut bytes);
    // Behind length, kind and id.
    bytes[13..15].copy_from_slice(&(PROTOCOL + 1).to_le_bytes());
    front.stream.write_all(&bytes).await.unwrap();
    let welcome = FromAgent::Welcome { protocol: PROTOCOL, instance: [9; 16], keys: Vec::new() };
    assert_eq!(front.next().await, Some(welcome));
    assert_eq!(front.next().await, None);
}

#[tokio::test]
async fn a_stop_lets_what_is_in_flight_end() {
    let host = Host::new();
    let mut front = host.welcome().await;
    host.wallet.on_create(Act::Hang);
    front.send(&[invoice(3), prove(4, 4, 4)]).await;
    assert_eq!(front.next().await, Some(FromAgent::Granted { id: 4, remaining: Some(0) }));
    tokio::time::pause();
    host.stop.send(true).unwrap();
    assert_eq!(front.next().await, None, "3 hangs, and is given up");
    front.served.await.unwrap();
}

#[tokio::test]
async fn a_redemption_waits_in_little_room() {
    let host = Host::new();
    let question = Question::Redeem(Redemption {
        request: id(1),
        backend: "default".into(),
        payment_hash: hash(1),
        proof: Proof::LookUp(None),
        limit: Some(1),
        draw: true,
    });
    let room = size_of_val(&question.answer(1, &host.engine));
    assert!(room <= 3000, "{room} bytes for each of thousands");
}
