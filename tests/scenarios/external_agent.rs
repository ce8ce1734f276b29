//! `l402_agent unix:…`: an l402d that runs by itself.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::harness::process::{self, Signal};
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("external_agent::serves", serves),
    Scenario::on_simulator("external_agent::goes_and_comes_back", goes_and_comes_back),
    Scenario::on_simulator("external_agent::missing_at_the_start", missing_at_the_start),
];

fn serves(stage: &Stage) {
    let agent = stage.agent(&stage.dir().join("agent-state"));
    let site = stage.site().without_env("LN_CLIENT_TYPE");
    let site = site.http(&format!("l402_agent unix:{};", agent.socket().display()));
    let state = site.state_dir().to_owned();
    let nginx = site.paid("l402_auto_detect_payment on; l402_max_uses 2;").start();
    let challenge = nginx.get("/paid/a").challenge();
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    nginx.get_paid("/paid/a", &stage.buy(&challenge)).expect(200);
    nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    assert_eq!(stage.agents(), [agent.pid()], "nginx starts none of its own");
    assert!(!state.exists());
    assert_eq!(fs::metadata(agent.socket()).unwrap().mode() & 0o777, 0o600);
    drop(nginx);
    assert!(process::alive(agent.pid()), "it is nobody's co-process");
}

/// Reusable tokens still serve while it is gone; the rest gets a clear 503; nothing is free.
fn goes_and_comes_back(stage: &Stage) {
    stage.tolerate("connect() to unix:");
    let state = stage.dir().join("agent-state");
    let mut agent = stage.agent(&state);
    let agent_line = format!("l402_agent unix:{};", agent.socket().display());
    let nginx = stage
        .site()
        .without_env("LN_CLIENT_TYPE")
        .http(&agent_line)
        .http("l402_agent_timeout 2s;")
        .paid("location /paid/open/ { l402_indefinite_access on; }")
        .start();
    let (single, reusable) = (nginx.buy("/paid/a"), nginx.buy("/paid/open/a"));
    let used = nginx.buy("/paid/b");
    nginx.get_paid("/paid/b", &used).expect(200);
    // Each worker has the keys by now or learns them from the one that comes back.
    wait::at_once(40, |_| nginx.get("/paid/a").challenge());
    agent.end(Signal::KILL);
    for (path, credential) in [("/paid/a", &single), ("/paid/b", &used), ("/paid/a", &String::new())] {
        let answer = nginx.get_paid(path, credential);
        assert_eq!(answer.status, 503, "{path}: {}", answer.text());
        let seconds: u32 = answer.header("Retry-After").expect("Retry-After").parse().unwrap();
        assert!(seconds >= 1);
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    }
    let mut served = 0;
    for _ in 0..20 {
        let answer = nginx.get_paid("/paid/open/a", &reusable);
        assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
        served += u32::from(answer.status == 200);
    }
    assert!(served > 0, "a worker that knows the keys needs no l402d for a reusable token");
    nginx.get("/free/a").expect(200);
    let agent = stage.agent(&state);
    wait::until("challenges again", || (nginx.get("/paid/a").status == 402).then_some(()));
    wait::until("the unused one to serve", || {
        let answer = nginx.get_paid("/paid/a", &single);
        assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
        (answer.status == 200).then_some(())
    });
    // Not each worker is connected again yet.
    wait::until("a challenge instead of the used one", || {
        let answer = nginx.get_paid("/paid/b", &used);
        assert!(matches!(answer.status, 402 | 503), "{}", answer.status);
        (answer.status == 402).then_some(())
    });
    drop(agent);
}

fn missing_at_the_start(stage: &Stage) {
    stage.tolerate("connect() to unix:");
    let state = stage.dir().join("agent-state");
    let nginx = stage
        .site()
        .without_env("LN_CLIENT_TYPE")
        .http(&format!("l402_agent unix:{}/l402d.sock;", state.display()))
        .http("l402_agent_timeout 2s;")
        .paid("")
        .start();
    let answer = nginx.get("/paid/a").expect(503);
    assert!(answer.header("Retry-After").is_some());
    nginx.get("/free/a").expect(200);
    let _agent = stage.agent(&state);
    wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
}
