//! A server that dies, hangs, is full, forgets its scripts, is a replica, or hands over: nothing is granted twice, and a
//! claim that was not carried out is none.

use std::{
    collections::HashSet,
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

use proptest::prelude::*;
use store::{Claim, Claimed, Model, RedisStore, Store, StoreError, redis::RedisOptions};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use crate::{
    server::{Redis, Watched},
    support::{Wire, hash, hex, id, open, sentinel, single, single_use, start},
};

const GRANTED: Result<Claimed, StoreError> = Ok(Claimed::Granted { remaining: 0 });

fn signal(redis: &Redis, name: &str) {
    let status = std::process::Command::new("kill").arg(name).arg(redis.pid().to_string()).status();
    assert!(status.unwrap().success());
}

/// Claims until it is granted or used up; whoever is told to come back comes back.
async fn insist(store: &RedisStore, claim: Claim) -> Claimed {
    for _ in 0..3000 {
        match store.claim(claim).await {
            Ok(claimed) => return claimed,
            Err(StoreError::RequestReused) => panic!("one id, one payment"),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("Redis never came back")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_granted_before_a_kill_is_there_after() {
    let dir = TempDir::new().unwrap();
    let mut redis = start(dir.path());
    let store = open(single(redis.port()));
    let (mut clients, (said, mut heard)) = (JoinSet::new(), mpsc::unbounded_channel());
    for client in 0..8 {
        let (store, said) = (store.clone(), said.clone());
        clients.spawn(async move {
            let mut granted = Vec::new();
            for n in (client * 100_000).. {
                match store.claim(single_use(n, n)).await {
                    Ok(_) => {
                        granted.push(n);
                        let _ = said.send(());
                    }
                    Err(_) => return granted,
                }
            }
            granted
        });
    }
    for _ in 0..200 {
        heard.recv().await.unwrap();
    }
    redis.kill();
    let granted = clients.join_all().await.concat();
    assert!(!granted.is_empty());
    redis.restart();
    for n in granted {
        assert_eq!(insist(&store, single_use(n, 1_000_000 + n)).await, Claimed::UsedUp, "claim {n}");
        assert_eq!(store.claim(single_use(n, n)).await, GRANTED, "resend {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_flush_of_scripts_are_not_noticed() {
    let dir = TempDir::new().unwrap();
    let mut redis = start(dir.path());
    let store = open(single(redis.port()));
    assert_eq!(store.claim(single_use(1, 1)).await, GRANTED);
    redis.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(store.claim(single_use(2, 2)).await, GRANTED);
    redis.restart();
    assert_eq!(store.claim(single_use(3, 3)).await, GRANTED, "over a new connection");
    assert_eq!(store.claim(single_use(1, 9)).await, Ok(Claimed::UsedUp));
}

#[tokio::test(flavor = "multi_thread")]
async fn none_at_all_is_an_error_at_once_and_none_at_the_start_is_awaited() {
    let dir = TempDir::new().unwrap();
    let port = crate::server::free_port();
    let store = open(single(port));
    for n in 0..100 {
        let refused = store.claim(single_use(n, n)).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotCarriedOut(_)), "{refused}");
    }
    let _redis = Redis::start_on(&dir.path().join("redis"), port, "");
    assert_eq!(insist(&store, single_use(1, 1)).await, Claimed::Granted { remaining: 0 });
}

/// Claims lie in the socket of a server that hangs; when it goes on, it must not draw for who has left.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_hanging_server_reads_too_late_is_not_drawn() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let options =
        RedisOptions { deadline: Duration::from_millis(300), ..RedisOptions::new(single(redis.port())) };
    let store = std::sync::Arc::new(RedisStore::open(options).unwrap());
    insist(&store, single_use(1000, 1000)).await;
    signal(&redis, "-STOP");
    let mut clients = JoinSet::new();
    for n in 0..20 {
        let store = store.clone();
        clients.spawn(async move { store.claim(single_use(n, n)).await });
    }
    assert!(clients.join_all().await.iter().all(Result::is_err));
    signal(&redis, "-CONT");
    // Another host, to which the clients go at once.
    let other = open(single(redis.port()));
    for n in 0..20 {
        assert_eq!(insist(&other, single_use(n, 100 + n)).await, Claimed::Granted { remaining: 0 });
    }
    assert_eq!(insist(&store, single_use(0, 200)).await, Claimed::UsedUp);
}

/// Redis carries a claim out, and its answer is lost: another host, to which the client goes, waits until that is given
/// back, and never says that the payment is used.
#[tokio::test(flavor = "multi_thread")]
async fn a_draw_whose_answer_was_lost_is_in_doubt_until_it_is_given_back() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let wire = Wire::start(redis.port()).await;
    let soon = Duration::from_millis(300);
    let options =
        RedisOptions { deadline: soon, deadline_of_lost: soon, ..RedisOptions::new(single(wire.port)) };
    let (cut_off, other) = (RedisStore::open(options).unwrap(), open(single(redis.port())));
    insist(&cut_off, single_use(1000, 1000)).await;
    wire.mute(true);
    let lost = cut_off.claim(single_use(1, 1)).await.unwrap_err();
    assert!(matches!(lost, StoreError::Unavailable(_)), "{lost}");
    redis.wait_for(&["EXISTS", &format!("l402:preimage:{}", hex(hash(1)))], "1");
    let elsewhere = tokio::spawn(async move { insist(&other, single_use(1, 2)).await });
    sleep(soon).await;
    assert!(!elsewhere.is_finished(), "it is not known yet");
    wire.mute(false);
    while cut_off.release(hash(1), id(1)).await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(elsewhere.await.unwrap(), Claimed::Granted { remaining: 0 });
}

/// What a host does not come to say is in doubt for a while, not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_draw_that_its_host_has_heard_of_is_not_in_doubt() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let store = open(single(redis.port()));
    let key = format!("l402:preimage:{}", hex(hash(1)));
    assert_eq!(store.claim(single_use(1, 1)).await, GRANTED);
    let value = redis.ask(&["GET", &key]);
    let (_, call) = value.rsplit_once(':').unwrap();
    let call = format!("l402:call:{call}");
    redis.wait_for(&["EXISTS", &call], "0");
    redis.ask(&["SET", &call, "of a host that died", "PX", "300"]);
    assert_eq!(store.claim(single_use(1, 2)).await, Ok(Claimed::UsedUp), "when that is over");
    assert_eq!(redis.ask(&["EXISTS", &call]), "0");
}

/// Of several draws on one payment one was never heard of; what was given back is in doubt no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_draw_among_others_is_in_doubt_until_it_is_given_back() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let store = open(single(redis.port()));
    let (key, hour) = (format!("l402:preimage:{}", hex(hash(1))), "3600");
    let draw = |request| Claim { limit: 4, ..single_use(1, request) };
    for request in 1..=4 {
        let remaining = 4 - request;
        assert_eq!(store.claim(draw(request)).await, Ok(Claimed::Granted { remaining }));
        if request == 2 {
            let value = redis.ask(&["GET", &key]);
            let call = value.rsplit(' ').find_map(|draw| draw.strip_prefix(&format!("{:032x}:", 2)));
            let call = format!("l402:call:{}", call.unwrap());
            redis.wait_for(&["EXISTS", &call], "0");
            redis.ask(&["SET", &call, "of a host that died", "EX", hour]);
        }
    }
    for request in 1..=4 {
        let remaining = 4 - request;
        assert_eq!(store.claim(draw(request)).await, Ok(Claimed::Granted { remaining }), "a resend");
    }
    let other = store.clone();
    let waiting = tokio::spawn(async move { insist(&other, draw(5)).await });
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "it is not known yet");
    assert_eq!(store.release(hash(1), id(2)).await, Ok(true));
    assert_eq!(waiting.await.unwrap(), Claimed::Granted { remaining: 0 });
    assert_eq!(store.claim(draw(6)).await, Ok(Claimed::UsedUp), "nothing is in doubt");
    assert_eq!(store.release(hash(1), id(5)).await, Ok(true), "the last one");
    assert_eq!(store.claim(draw(5)).await, Ok(Claimed::Released));
    assert_eq!(store.claim(draw(7)).await, Ok(Claimed::Granted { remaining: 0 }));
    for request in [1, 3, 4, 7] {
        assert_eq!(store.release(hash(1), id(request)).await, Ok(true));
    }
    assert_eq!(redis.ask(&["EXISTS", &key]), "0", "nothing is drawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_one_draws_nothing_and_goes_on_when_there_is_room() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let store = open(single(redis.port()));
    assert_eq!(store.claim(single_use(1, 1)).await, GRANTED);
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..3 {
        let refused = store.claim(single_use(2, 2)).await.unwrap_err();
        assert!(
            matches!(&refused, StoreError::NotCarriedOut(reason) if reason.contains("maxmemory")),
            "{refused}"
        );
    }
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(store.claim(single_use(2, 3)).await, GRANTED);
    assert_eq!(store.claim(single_use(1, 4)).await, Ok(Claimed::UsedUp));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_not_written_to() {
    let dir = TempDir::new().unwrap();
    let redis = start(dir.path());
    let store = open(single(redis.port()));
    assert_eq!(store.claim(single_use(1, 1)).await, GRANTED);
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let refused = store.claim(single_use(2, 2)).await.unwrap_err();
    assert!(matches!(&refused, StoreError::NotCarriedOut(reason) if reason.contains("replica")), "{refused}");
    redis.ask(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(insist(&store, single_use(2, 3)).await, Claimed::Granted { remaining: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_replicas_are_an_error_and_nothing_stays_drawn() {
    let dir = TempDir::new().unwrap();
    let watched = Watched::start(dir.path());
    let mut servers = single(watched.master.port());
    servers.wait_replicas = 1;
    let store = open(servers.clone());
    servers.wait_replicas = 2;
    let alone = open(servers).claim(single_use(1, 1)).await.unwrap_err();
    assert!(matches!(&alone, StoreError::NotCarriedOut(reason) if reason.contains("too few")), "{alone}");
    assert_eq!(store.claim(single_use(1, 2)).await, GRANTED);
    // It is there, and does not answer.
    signal(&watched.replica, "-STOP");
    let unsure = store.claim(single_use(2, 3)).await.unwrap_err();
    assert!(
        matches!(&unsure, StoreError::Unavailable(reason) if reason.contains("0 of its replicas")),
        "{unsure}"
    );
    signal(&watched.replica, "-CONT");
    while store.release(hash(2), id(3)).await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(insist(&store, single_use(2, 4)).await, Claimed::Granted { remaining: 0 });
    // A master that has lost its replica may have lost its place: what it is given back would be forgotten with it.
    watched.replica.ask(&["REPLICAOF", "NO", "ONE"]);
    watched.master.wait_for(
        &["EVAL", "return redis.call('INFO', 'replication'):match('connected_slaves:0')", "0"],
        "connected_slaves:0",
    );
    let lonely = store.release(hash(2), id(4)).await.unwrap_err();
    assert!(lonely.to_string().contains("too few"), "{lonely}");
}

/// The master is made a replica while a claim waits for its replicas: what was drawn is given back.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_a_demoted_master_made_is_given_back() {
    let dir = TempDir::new().unwrap();
    let watched = Watched::start(dir.path());
    let mut servers = single(watched.master.port());
    servers.wait_replicas = 1;
    let store = open(servers);
    insist(&store, single_use(1, 1)).await;
    signal(&watched.replica, "-STOP");
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.claim(single_use(2, 2)).await }
    });
    watched.master.wait_for(&["EXISTS", &format!("l402:preimage:{}", hex(hash(2)))], "1");
    watched.master.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    watched.master.ask(&["REPLICAOF", "NO", "ONE"]);
    let told = waiting.await.unwrap().unwrap_err();
    signal(&watched.replica, "-CONT");
    if matches!(told, StoreError::Unavailable(_)) {
        while store.release(hash(2), id(2)).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    }
    let other = open(single(watched.master.port()));
    assert_eq!(other.claim(single_use(2, 3)).await, GRANTED);
}

/// The master hangs, the replica takes over, the master comes back as its replica.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_forgets_no_claim_that_waited_for_the_replica() {
    let dir = TempDir::new().unwrap();
    let watched = Watched::start(dir.path());
    let mut servers = sentinel(watched.sentinel.port());
    servers.wait_replicas = 1;
    let store = open(servers);
    for n in 0..50 {
        assert_eq!(insist(&store, single_use(n, n)).await, Claimed::Granted { remaining: 0 });
    }
    signal(&watched.master, "-STOP");
    watched.wait_for_failover();
    // From here on the former replica is alone: nothing waits for another.
    let store = open(sentinel(watched.sentinel.port()));
    for n in 0..50 {
        assert_eq!(insist(&store, single_use(n, 100 + n)).await, Claimed::UsedUp, "claim {n}");
    }
    assert_eq!(insist(&store, single_use(99, 99)).await, Claimed::Granted { remaining: 0 });
    signal(&watched.master, "-CONT");
    watched.master.wait_for(&["INFO", "replication"], "role:slave");
    assert_eq!(insist(&store, single_use(99, 999)).await, Claimed::UsedUp);
}

#[derive(Clone, Debug)]
enum Act {
    /// Several arrive together.
    Claims(Vec<Claim>),
    Release(u8, u32),
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    // The request's number names its payment: Redis does not notice an id that is used for two.
    let claim = (0..3_u8, 0..10_u32, 0..6_u32, 1..3_u32).prop_map(|(payment, request, limit, units)| {
        let request = id(u32::from(payment) * 100 + request);
        Claim { payment_hash: [payment; 32], request, limit, units }
    });
    // An id that is in doubt and comes again meanwhile has no order.
    let claims = prop::collection::vec(claim, 1..8).prop_map(|mut claims| {
        let mut ids = HashSet::new();
        claims.retain(|claim| ids.insert(claim.request));
        Act::Claims(claims)
    });
    let release = (0..3_u8, 0..10_u32)
        .prop_map(|(payment, request)| Act::Release(payment, u32::from(payment) * 100 + request));
    let act = prop_oneof![60 => claims, 30 => release, 1 => Just(Act::Restart)];
    prop::collection::vec(act, 1..30)
}

/// Whatever is claimed, resent and released in whatever order, over restarts: as the model says.
#[test]
fn counts_as_the_model_does() {
    let dir = TempDir::new().unwrap();
    let redis = std::cell::RefCell::new(start(dir.path()));
    // One thread, so that what arrives together is one call, in its order.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(async { open(single(redis.borrow().port())) });
    proptest!(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() }, |(acts in acts())| {
        redis.borrow().ask(&["FLUSHALL"]);
        let model = Model::new();
        for act in acts {
            match act {
                Act::Claims(claims) => {
                    let ours = runtime.block_on(at_once(claims.iter().map(|claim| store.claim(*claim))));
                    let theirs = runtime.block_on(at_once(claims.iter().map(|claim| model.claim(*claim))));
                    prop_assert_eq!(ours, theirs);
                }
                Act::Release(payment, n) => {
                    let payment = [payment; 32];
                    let ours = runtime.block_on(store.release(payment, id(n)));
                    prop_assert_eq!(ours, runtime.block_on(model.release(payment, id(n))));
                }
                Act::Restart => {
                    redis.borrow_mut().restart();
                    // A connection may be refused at first.
                    while runtime.block_on(store.settled_get([9; 32])).is_err() {
                        std::thread::yield_now();
                    }
                }
            }
        }
    });
}

/// Begins all of them, in their order, before it waits.
async fn at_once<F: Future>(calls: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    let mut outcomes: Vec<_> = calls.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (call, outcome) in calls.iter_mut().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none()) {
            if let Poll::Ready(done) = call.as_mut().poll(context) {
                *outcome = Some(done);
            }
        }
        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes.into_iter().map(Option::unwrap).collect()
}
