//! Payments with ecash, a real mint (Nutshell) behind: locked to our key, and verified here; plain, and swapped at the mint first,
//! against that swap alone; and an unprotected location while the mint hangs.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use super::beside::Beside;
use super::hang::{still_waiting, wait_for_paid};
use super::{PAIRS, both, grants};
use crate::harness::http::Request;
use crate::harness::mint::{self, FREE, Rig, repository};
use crate::harness::site::Site;
use crate::harness::stage::Stage;
use crate::load::{self, Amount};
use crate::pairs::{Samples, Side};
use crate::report::{Report, Row};
use crate::stand::{Stand, site};
use crate::usage;

/// The price, and the one proof that each token is of.
const PRICE_SAT: u64 = 8;
const PRICE: &str = "l402_amount_msat_default 8000;";

/// The key that ecash is locked to, worth nothing.
const PRIVATE: &str = "0000000000000000000000000000000000000000000000000000000000000007";
const PUBLIC: &str = "025cbdf0646e5db4eaa398f365f2ea7a0e3d419b7e0330e39ce92bddedcac4f9bc";

/// Clients at once, and payments of a slice, of locked ecash.
const AT_ONCE: usize = 64;
const LOCKED: usize = 500;

/// Swaps of a slice.
const SWAPS: usize = 10;

/// Clients that wait for the mint, and tokens for those that are answered before it hangs.
const WAITING: usize = 64;
const SPARE: usize = 8;

/// Longer than the mint takes to redeem a slice's locked ecash.
const REDEEMED: Duration = Duration::from_secs(120);

/// The mints, or `None` with a note.
fn rig(name: &str, report: &mut Report) -> Option<Rig> {
    match mint::missing(repository()) {
        None => Some(Rig::start(repository())),
        Some(reason) => {
            report.note(format!("{name}: {reason}."));
            None
        }
    }
}

/// A site that takes ecash of the mint without fees.
fn shop<'a>(stage: &'a Stage, rig: &Rig) -> Site<'a> {
    site(stage).env("CASHU_ECASH_SUPPORT", "on").env("CASHU_WHITELISTED_MINTS", &rig.urls[FREE]).paid(PRICE)
}

/// So many of what the rig makes of one proof each.
fn made(rig: &Rig, count: usize, more: serde_json::Value) -> Vec<String> {
    let mut ask = json!({"do": "tokens", "mint": FREE, "amount": PRICE_SAT, "count": count});
    if let (Some(ask), Some(more)) = (ask.as_object_mut(), more.as_object()) {
        ask.extend(more.clone());
    }
    let answer = rig.ask(&ask);
    let made = answer["made"].as_array().expect("a list").iter();
    made.map(|one| one.as_str().expect("a text").to_owned()).collect()
}

fn paid(token: &str) -> Vec<u8> {
    Request::get("/paid/1k").header("X-Cashu", token).bytes()
}

/// Grants/s of locked ecash, in bursts: what was taken is redeemed from a second later on, and has been when the next slice begins.
pub(super) fn locked(stand: &Stand, report: &mut Report) {
    let Some(rig) = rig("locked ecash", report) else { return };
    let stage = stand.stage();
    let nginx =
        shop(&stage, &rig).env("CASHU_P2PK_MODE", "on").env("CASHU_P2PK_PRIVATE_KEY", PRIVATE).start();
    let agent = nginx.agent(None);
    let name = format!(
        "grants/s of ecash locked to our key, one use each, bursts of {LOCKED}, {AT_ONCE} connections"
    );
    grants::of_requests(&nginx, (&name, AT_ONCE, 2_000.0), report, &mut || {
        let tokens = made(&rig, LOCKED, json!({"lock": PUBLIC}));
        usage::settle(agent, REDEEMED);
        tokens.iter().map(|token| paid(token)).collect()
    });
}

/// What a grant of plain ecash takes, over the same swap asked for by a plain client; one after the other.
pub(super) fn swapped(stand: &Stand, report: &mut Report) {
    let Some(rig) = rig("plain ecash", report) else { return };
    let stage = stand.stage();
    let nginx = shop(&stage, &rig).start();
    let (worker, agent) = (nginx.workers()[0], nginx.agent(None));
    let mint: SocketAddr = rig.urls[FREE].trim_start_matches("http://").parse().expect("an address");
    let swap = |body: &String| {
        let head = format!("POST /v1/swap HTTP/1.1\r\nHost: {mint}\r\nContent-Type: application/json\r\n");
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let bare = made(&rig, (PAIRS + 1) * SWAPS, json!({"requests": true}));
    let tokens = made(&rig, (PAIRS + 1) * SWAPS, json!({}));
    let (mut theirs, mut ours, mut helper) = (Samples::default(), Side::default(), Side::default());
    let (mut times, mut others) = (Samples::default(), 0);
    for (number, (bare, tokens)) in bare.chunks(SWAPS).zip(tokens.chunks(SWAPS)).enumerate() {
        let alone = load::run(mint, 1, bare.iter().map(swap).collect(), Amount::Requests(SWAPS));
        let before = (usage::cpu(worker), usage::cpu(agent));
        let paid = tokens.iter().map(|token| paid(token)).collect();
        let came = load::run(nginx.address(), 1, paid, Amount::Requests(SWAPS));
        others += alone.other_than(200) + came.other_than(200);
        // The first pair opens the connections.
        if number > 0 {
            theirs.push(alone.elapsed.as_secs_f64() * 1e3 / SWAPS as f64);
            times.push(came.elapsed.as_secs_f64() * 1e3 / SWAPS as f64);
            ours.add(SWAPS as u64, came.elapsed, usage::cpu(worker).saturating_sub(before.0));
            helper.add(SWAPS as u64, came.elapsed, usage::cpu(agent).saturating_sub(before.1));
        }
    }
    let ratio = times.median() / theirs.median();
    report.add(Row {
        figure: "a grant of plain ecash ÷ the mint's swap alone, one after the other".to_owned(),
        measured: format!("{ratio:.2} ({:.1} ms ÷ {:.1} ms)", times.median(), theirs.median()),
        spread: format!("{} ms ÷ {} ms", times.spread(1), theirs.spread(1)),
        cpu: format!("{}, l402d {:.0}", both(0.0, ours.cpu_us()), helper.cpu_us()),
        reach: None,
    });
    if others > 0 {
        report.note(format!("plain ecash: {others} swaps or grants failed."));
    }
}

/// The p99 of an unprotected location while clients wait for a mint that hangs.
pub(super) fn hang(stand: &Stand, report: &mut Report) {
    let Some(rig) = rig("a mint that hangs", report) else { return };
    let stage = stand.stage();
    stage.tolerate("l402");
    let nginx = shop(&stage, &rig).start();
    let mut figure = Beside::new(&nginx);
    let mut least_waiting = WAITING;
    for _ in 0..PAIRS {
        let mut tokens = made(&rig, WAITING + SPARE, json!({})).into_iter();
        figure.pair(|slice| {
            rig.control("pause", FREE);
            let mut ask = || tokens.next().map(|token| paid(&token));
            let mut waiting = wait_for_paid(nginx.address(), WAITING, &mut ask);
            slice();
            still_waiting(&mut waiting);
            least_waiting = least_waiting.min(waiting.len());
            drop(waiting);
            rig.control("resume", FREE);
        });
        usage::settle(nginx.agent(None), REDEEMED);
    }
    let name = format!(
        "p99 of an unprotected location, the mint hangs, {WAITING} clients pay with ecash ÷ without them"
    );
    report.add(figure.row(name, least_waiting == WAITING));
    report.note(format!(
        "hang, mint: {least_waiting} of {WAITING} clients were still waiting at the end of each slice (the fewest of any slice); {}.",
        figure.rates()
    ));
}
