//! A mint that is away, an l402d that is killed: the same token is served later, once.

use serde_json::json;

use super::{PRICE_SAT, assert_refused, pay, site, token, with};
use crate::harness::mint::{FREE, Rig, repository};
use crate::harness::process::{Signal, signal};
use crate::harness::stage::Stage;
use crate::harness::wait;

pub fn mint_down(stage: &Stage) {
    let rig = Rig::start(repository());
    let nginx = site(stage, &rig).paid("").start();
    pay(&nginx, &token(stage, &rig, FREE, PRICE_SAT, json!({}))).expect(200);
    let bought = token(stage, &rig, FREE, PRICE_SAT, json!({}));
    rig.control("stop", FREE);
    let away = pay(&nginx, &bought).expect(503);
    assert!(away.header("Retry-After").is_some() && away.text().contains("send the same token again"));
    nginx.get("/free/a").expect(200);
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
    rig.control("start", FREE);
    pay(&nginx, &bought).expect(200);
    assert_refused(&pay(&nginx, &bought), "spent already");
}

/// The mint hangs in the middle of a swap and l402d is killed: the request that waits is served by the next l402d.
pub fn killed_during_the_swap(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    let rig = Rig::start(repository());
    let nginx = site(stage, &rig).http("l402_agent_timeout 60s;").paid("").start();
    pay(&nginx, &token(stage, &rig, FREE, PRICE_SAT, json!({}))).expect(200);
    let bought = token(stage, &rig, FREE, PRICE_SAT, json!({}));
    rig.control("pause", FREE);
    let mut waiting = nginx.connect();
    waiting.write(&with(&bought).bytes()).unwrap();
    let database = nginx.dir().join("state/cashu.db");
    wait::until("the payment on record", || {
        let open = rusqlite::Connection::open(&database).ok()?;
        let count = "SELECT count(*) FROM l402_payment WHERE state = 0 AND counter IS NOT NULL";
        open.query_row(count, [], |row| row.get::<_, i64>(0)).ok().filter(|count| *count == 1)
    });
    let agent = nginx.agent(None);
    signal(agent, Signal::KILL);
    nginx.agent(Some(agent));
    rig.control("resume", FREE);
    // Its own request may have been given up meanwhile: then the same token is good in another.
    let answer = waiting.read("GET").unwrap();
    if answer.status != 200 {
        assert_eq!(answer.status, 503, "{}", answer.text());
        wait::until("the token's grant", || {
            let again = pay(&nginx, &bought);
            assert!(matches!(again.status, 200 | 503), "{}", again.text());
            (again.status == 200).then_some(())
        });
    }
    assert_refused(&pay(&nginx, &bought), "spent already");
}
