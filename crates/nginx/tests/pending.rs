//! The table of questions without an answer: what is written when, and who hears of it.
#![allow(clippy::unwrap_used)]

#[path = "../src/pending.rs"]
mod pending;

use agent_api::{PROTOCOL, Proof, Secret32, ToAgent};
use pending::{Full, Pending};

fn invoice(id: u64) -> Option<ToAgent> {
    Some(ToAgent::Invoice {
        id,
        backend: "default".into(),
        amount_msat: 1,
        description: String::new(),
        path: String::new(),
        rate: None,
    })
}

fn redeem(id: u64) -> Option<ToAgent> {
    Some(ToAgent::Redeem {
        id,
        request: [7; 16],
        backend: "default".into(),
        payment_hash: [1; 32],
        proof: Proof::Preimage(Secret32::new([2; 32])),
        limit: Some(1),
        draw: true,
    })
}

/// What would be written now, as the kinds of frames and their ids.
fn written(table: &mut Pending<u32>) -> Vec<(&'static str, u64)> {
    let mut bytes = Vec::new();
    while table.next_frame(PROTOCOL, &mut bytes) {}
    let mut frames = Vec::new();
    while let Some((frame, used)) = ToAgent::decode(&bytes).unwrap() {
        let kind = match frame {
            ToAgent::Invoice { .. } => "invoice",
            ToAgent::Redeem { .. } => "redeem",
            ToAgent::Cancel { .. } => "cancel",
            ToAgent::Hello { .. } => "hello",
            ToAgent::Ecash { .. } => "ecash",
            ToAgent::Examine { .. } => "examine",
        };
        frames.push((kind, frame.id()));
        bytes.drain(..used);
    }
    frames
}

#[test]
fn an_answer_finds_its_waiter_once() {
    let mut table = Pending::new(4);
    let first = table.add(10, invoice).unwrap();
    let second = table.add(20, invoice).unwrap();
    assert_eq!(written(&mut table), [("invoice", first), ("invoice", second)]);
    assert_eq!(table.take(second), Some(20));
    assert_eq!(table.take(second), None);
    assert_eq!(table.take(first), Some(10));
    assert_eq!(table.take(u64::MAX), None);
}

#[test]
fn a_late_answer_does_not_reach_the_slots_next_tenant() {
    let mut table = Pending::new(1);
    let first = table.add(10, invoice).unwrap();
    written(&mut table);
    table.cancel(first);
    let second = table.add(20, invoice).unwrap();
    assert_ne!(first, second);
    assert_eq!(table.take(first), None);
    assert_eq!(table.take(second), Some(20));
}

#[test]
fn what_was_not_written_is_not_cancelled_but_forgotten() {
    let mut table = Pending::new(4);
    let id = table.add(10, redeem).unwrap();
    table.cancel(id);
    assert_eq!(written(&mut table), []);
}

#[test]
fn what_was_written_is_cancelled() {
    let mut table = Pending::new(4);
    let id = table.add(10, redeem).unwrap();
    written(&mut table);
    table.cancel(id);
    assert_eq!(written(&mut table), [("cancel", id)]);
    assert_eq!(table.take(id), None);
}

#[test]
fn everything_unanswered_is_written_again_after_a_reconnection() {
    let mut table = Pending::new(4);
    let first = table.add(10, redeem).unwrap();
    let second = table.add(20, invoice).unwrap();
    written(&mut table);
    let third = table.add(30, invoice).unwrap();
    table.take(second);
    table.disconnected();
    assert_eq!(written(&mut table), [("redeem", first), ("invoice", third)]);
    assert_eq!(table.queued(), 0);
}

#[test]
fn a_draw_given_up_while_l402d_was_away_is_undone_on_return() {
    let mut table = Pending::new(4);
    let id = table.add(10, redeem).unwrap();
    written(&mut table);
    table.disconnected();
    table.cancel(id);
    assert_eq!(written(&mut table), [("redeem", id), ("cancel", id)]);
    assert_eq!(table.take(id), None);
    let next = table.add(20, redeem).unwrap();
    assert_ne!(next, id);
}

#[test]
fn an_invoice_given_up_while_l402d_was_away_is_forgotten() {
    let mut table = Pending::new(4);
    let id = table.add(10, invoice).unwrap();
    written(&mut table);
    table.disconnected();
    table.cancel(id);
    assert_eq!(written(&mut table), []);
}

#[test]
fn only_those_who_may_have_drawn_wait_through_an_outage() {
    let mut table = Pending::new(4);
    let keys = table.add(1, |_| None).unwrap();
    let asked = table.add(2, invoice).unwrap();
    let drawn = table.add(3, redeem).unwrap();
    written(&mut table);
    table.disconnected();
    let unsent = table.add(4, redeem).unwrap();
    assert_eq!(table.with_nothing_at_stake(), [keys, asked, unsent]);
    assert_eq!(table.waiting_for_keys(), [keys]);
    assert_eq!(table.take(drawn), Some(3));
}

#[test]
fn the_table_and_its_queue_are_bounded() {
    let mut table = Pending::new(3);
    for _ in 0..3 {
        table.add(1, invoice).unwrap();
    }
    assert_eq!(table.add(1, invoice), Err(Full));
    // l402d takes nothing, clients come and go: the queue does not grow with them.
    let mut table = Pending::new(3);
    for _ in 0..100_000 {
        let id = table.add(1, invoice).unwrap();
        table.cancel(id);
    }
    assert!(table.queued() <= 8, "{} queued", table.queued());
    assert_eq!(written(&mut table), []);
}
