//! Sizes: memory of the worker and of l402d, bytes of a 402.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::http::Request;
use crate::load::{self, Amount};
use crate::plain::Plain;
use crate::report::{Report, Row};
use crate::stand::{Stand, site};
use crate::usage::{self, Memory};

/// Challenges before the second look.
const CHALLENGES: usize = 5_000;

/// Longer than l402d works on after them.
const REST: Duration = Duration::from_secs(8);

/// Memory at rest, and after challenges.
pub fn memory(stand: &Stand, report: &mut Report) {
    let stage = stand.stage();
    let plain_site = site(&stage);
    let plain = Plain::start(&stage, &plain_site);
    let nginx = site(&stage).paid("").start();
    let (worker, agent) = (nginx.workers()[0], nginx.agent(None));
    nginx.get("/paid/1k").expect(402);
    Request::get("/free/1k").send(plain.address()).expect(200);
    usage::settle(agent, REST);
    let (bare, rest, agent_rest) =
        (usage::memory(plain.worker()), usage::memory(worker), usage::memory(agent));
    let ask = vec![Request::get("/paid/1k").bytes()];
    load::run(nginx.address(), 32, ask, Amount::Requests(CHALLENGES));
    usage::settle(agent, REST);
    let (after, agent_after) = (usage::memory(worker), usage::memory(agent));
    let over = rest.rss.saturating_sub(bare.rss);
    report.add(Row {
        figure: "worker over a plain worker at rest, RSS (PSS)".to_owned(),
        measured: format!("{} MB ({})", mb(over), mb(rest.pss.saturating_sub(bare.pss))),
        spread: format!("{} over {}; after {CHALLENGES} challenges {}", both(rest), both(bare), both(after)),
        cpu: "–".to_owned(),
        reach: Some(("≤ 3 MB".to_owned(), over <= 3 * 1024)),
    });
    report.add(Row {
        figure: "l402d at rest, RSS (PSS)".to_owned(),
        measured: format!("{} MB ({})", mb(agent_rest.rss), mb(agent_rest.pss)),
        spread: format!("after {CHALLENGES} challenges {}", both(agent_after)),
        cpu: "–".to_owned(),
        reach: Some(("≤ 40 MB".to_owned(), agent_rest.rss <= 40 * 1024)),
    });
}

/// Bytes of a 402, headers and all.
pub fn bytes(stand: &Stand, report: &mut Report) {
    let stage = stand.stage();
    let nginx = site(&stage).paid("").start();
    let mut stream = TcpStream::connect(nginx.address()).expect("nginx accepts");
    stream.write_all(&Request::get("/paid/1k").header("Connection", "close").bytes()).expect("nginx reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    report.add(Row {
        figure: "bytes of a 402 answer to a program".to_owned(),
        measured: answer.len().to_string(),
        spread: format!("{head} of head, {} of body", answer.len() - head),
        cpu: "–".to_owned(),
        reach: Some(("≤ 2048".to_owned(), answer.len() <= 2048)),
    });
}

fn mb(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

fn both(memory: Memory) -> String {
    format!("{} ({})", mb(memory.rss), mb(memory.pss))
}
