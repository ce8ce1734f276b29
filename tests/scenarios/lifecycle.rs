//! l402d as nginx's co-process: whose it is, what it holds, and that it ends with nginx, however that ends.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use crate::harness::nginx::Nginx;
use crate::harness::process::{self, Pid, Signal};
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("lifecycle::quit", |stage| ends_with(stage, Signal::QUIT)),
    Scenario::on_nodes("lifecycle::stop", |stage| ends_with(stage, Signal::TERM)),
    Scenario::on_simulator("lifecycle::kill_of_a_worker", kill_of_a_worker),
    Scenario::on_simulator("lifecycle::kill_of_the_master", kill_of_the_master),
    Scenario::on_simulator("lifecycle::kill_of_l402d", kill_of_l402d),
    Scenario::on_simulator("lifecycle::stopped_l402d", stopped_l402d),
    Scenario::on_simulator("lifecycle::inherits_nothing", inherits_nothing),
    Scenario::on_simulator("lifecycle::files", files),
    Scenario::on_simulator("lifecycle::reload_replaces_it", reload_replaces_it),
    Scenario::on_simulator("lifecycle::reloads_in_a_row", reloads_in_a_row),
    Scenario::on_simulator("lifecycle::late_predecessor", late_predecessor),
    Scenario::on_simulator("lifecycle::reload_with_another_price", reload_with_another_price),
    Scenario::on_simulator("lifecycle::reload_of_a_mistake", reload_of_a_mistake),
    Scenario::on_nodes("lifecycle::single_process", single_process),
    Scenario::on_nodes("lifecycle::daemon", daemon),
    Scenario::on_simulator("lifecycle::binary_upgrade", binary_upgrade),
    Scenario::on_simulator("lifecycle::one_worker", one_worker),
    Scenario::on_simulator("lifecycle::unusable_database", unusable_database),
    Scenario::on_simulator("lifecycle::nothing_sold_starts_nothing", nothing_sold_starts_nothing),
];

fn gone(pid: Pid) {
    wait::until("l402d to end", || (!process::alive(pid)).then_some(()));
}

fn sells(nginx: &Nginx<'_>) {
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
}

fn ends_with(stage: &Stage, signal: Signal) {
    let mut nginx = stage.paid_site("");
    sells(&nginx);
    let agent = nginx.agent(None);
    nginx.end(signal);
    gone(agent);
}

/// Worker 0 is the one that l402d hangs on; each is killed in turn, so it is among them.
fn kill_of_a_worker(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    stage.tolerate("open socket");
    let nginx = stage.paid_site("l402_indefinite_access on;");
    let credential = nginx.buy("/paid/a");
    for worker in nginx.workers() {
        process::signal(worker, Signal::KILL);
        wait::until("its end", || (!process::alive(worker)).then_some(()));
        nginx.workers();
        nginx.get_paid("/paid/a", &credential).expect(200);
        nginx.get("/paid/b").challenge();
    }
    let agent = nginx.agent(None);
    sells(&nginx);
    drop(nginx);
    gone(agent);
}

/// nginx's workers outlive a killed master, and l402d lives as long as they do.
fn kill_of_the_master(stage: &Stage) {
    stage.tolerate("signal 9");
    let mut nginx = stage.paid_site("");
    sells(&nginx);
    let (agent, workers) = (nginx.agent(None), nginx.workers());
    nginx.end(Signal::KILL);
    assert!(process::alive(agent), "its workers still serve");
    sells(&nginx);
    for worker in &workers {
        process::signal(*worker, Signal::TERM);
    }
    gone(agent);
    wait::until("the workers to end", || workers.iter().all(|pid| !process::alive(*pid)).then_some(()));
}

fn kill_of_l402d(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    let nginx = stage.paid_site("l402_indefinite_access on;");
    let credential = nginx.buy("/paid/a");
    let mut last = nginx.agent(None);
    for _ in 0..3 {
        process::signal(last, Signal::KILL);
        // What a worker can decide by itself it decides; the rest waits or is told to come back.
        nginx.get_paid("/paid/a", &credential).expect(200);
        let answer = nginx.get("/paid/b");
        assert!(matches!(answer.status, 402 | 503), "{}", answer.status);
        last = nginx.agent(Some(last));
        sells(&nginx);
    }
}

/// A stopped l402d answers nothing: requests that need it get 503 in time, the others notice nothing.
fn stopped_l402d(stage: &Stage) {
    let nginx = stage.site().http("l402_agent_timeout 2s;").paid("l402_indefinite_access on;").start();
    let credential = nginx.buy("/paid/a");
    let agent = nginx.agent(None);
    stage.wait_for_connections(4);
    process::stop(agent);
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| nginx.get("/paid/b"))).collect();
        for _ in 0..50 {
            nginx.get("/free/a").expect(200);
            nginx.get_paid("/paid/a", &credential).expect(200);
        }
        for answer in waiting {
            let answer = answer.join().unwrap().expect(503);
            assert!(answer.header("Retry-After").is_some());
            assert_eq!(answer.header("Cache-Control"), Some("no-store"));
        }
    });
    process::signal(agent, Signal::CONT);
    wait::until("l402d to answer again", || (nginx.get("/paid/b").status == 402).then_some(()));
}

fn inherits_nothing(stage: &Stage) {
    let key = "a root key that must not be seen anywhere";
    stage.keep_secret(key);
    let nginx = stage.site().env("ROOT_KEY", key).paid("").start();
    let mut kept = nginx.connect();
    kept.exchange(&crate::harness::http::Request::get("/paid/a")).challenge();
    let agent = nginx.agent(None);
    let listening = process::listening_inodes();
    assert!(!listening.is_empty());
    for file in process::open_files(agent) {
        let name = file.display().to_string();
        let inode = name.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        assert!(inode.is_none_or(|inode| !listening.contains(inode)), "a listening socket: {name}");
        assert!(!name.ends_with("access.log") && !name.contains("anon_inode:[eventfd]x"), "{name}");
    }
    let seen = process::command_line(agent)
        + &fs::read_to_string(format!("/proc/{agent}/environ")).unwrap_or_default();
    assert!(!seen.contains(key), "{seen}");
    if process::is_root() {
        assert_eq!(process::user_of(agent), Some(process::nobody().0), "it runs as the workers do");
    }
}

fn files(stage: &Stage) {
    let site = stage.site().paid("");
    let state = site.state_dir().to_owned();
    let nginx = site.start();
    sells(&nginx);
    let mode = |name: &str| {
        let found = fs::symlink_metadata(state.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        (found.mode() & 0o777, found.uid())
    };
    let owner = if process::is_root() { process::nobody().0 } else { mode("").1 };
    assert_eq!(mode(""), (0o700, owner));
    for name in ["root.key", "l402.db", "l402d.sock", "l402d.log"] {
        assert_eq!(mode(name), (0o600, owner), "{name}");
    }
    stage.keep_secret(fs::read_to_string(state.join("root.key")).unwrap().trim());
}

fn reload_replaces_it(stage: &Stage) {
    let nginx = stage.paid_site("");
    let old = nginx.agent(None);
    nginx.reload();
    sells(&nginx);
    let new = nginx.agent(Some(old));
    assert!(!process::alive(old) && process::alive(new));
}

/// Several l402d start side by side; the one of the last configuration remains, and is the one that is reached.
fn reloads_in_a_row(stage: &Stage) {
    let nginx = stage.paid_site("");
    let reconfigured = || nginx.error_log().matches("reconfiguring").count();
    // Before it has workers, nginx may not be ready for signals.
    nginx.workers();
    for _ in 0..4 {
        for _ in 0..3 {
            let before = reconfigured();
            process::signal(nginx.master(), Signal::HUP);
            wait::until("the reload", || (reconfigured() > before).then_some(()));
        }
        nginx.workers();
        nginx.agent(None);
        for answer in wait::at_once(40, |_| nginx.get("/paid/a")) {
            answer.challenge();
        }
    }
}

/// The first l402d is so slow that the one of the next configuration listens before it: it must not take its place.
fn late_predecessor(stage: &Stage) {
    let (nginx, first) = wait::until("an l402d that does not listen yet", || {
        let site = stage.site().paid("");
        let socket = site.state_dir().join("l402d.sock");
        let nginx = site.start();
        let first = wait::closely(|| stage.agents().first().copied());
        process::stop(first);
        if !socket.exists() && !holds_a_lock(first) {
            return Some((nginx, first));
        }
        process::signal(first, Signal::CONT);
        drop(nginx);
        gone(first);
        None
    });
    nginx.reload();
    nginx.get("/paid/a").challenge();
    process::signal(first, Signal::CONT);
    gone(first);
    for answer in wait::at_once(40, |_| nginx.get("/paid/a")) {
        answer.challenge();
    }
    nginx.reload();
    sells(&nginx);
}

/// Was it stopped within a change of the database? Nobody can get past that.
fn holds_a_lock(pid: Pid) -> bool {
    let (locks, pid) = (fs::read_to_string("/proc/locks").unwrap(), pid.to_string());
    locks.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.get(3) == Some(&"WRITE") && words.get(4) == Some(&pid.as_str())
    })
}

fn reload_with_another_price(stage: &Stage) {
    let nginx = stage.paid_site("");
    let path = nginx.dir().join("nginx.conf");
    let config = fs::read_to_string(&path)
        .unwrap()
        .replace("l402_amount_msat_default 10000", "l402_amount_msat_default 77000");
    fs::write(path, config).unwrap();
    nginx.reload();
    assert_eq!(nginx.get("/paid/a").challenge().amount_msat(), 77_000);
}

/// A reload with a mistake in the configuration changes nothing.
fn reload_of_a_mistake(stage: &Stage) {
    stage.tolerate("l402_max_uses");
    let nginx = stage.paid_site("");
    let (agent, workers) = (nginx.agent(None), nginx.workers());
    let path = nginx.dir().join("nginx.conf");
    let config = fs::read_to_string(&path).unwrap().replace("l402 on;", "l402 on; l402_max_uses none;");
    fs::write(path, config).unwrap();
    process::signal(nginx.master(), Signal::HUP);
    nginx.wait_for_error("l402_max_uses", 0);
    sells(&nginx);
    assert_eq!((nginx.agent(None), nginx.workers()), (agent, workers));
}

fn single_process(stage: &Stage) {
    let mut nginx = stage.site().single_process().paid("l402_auto_detect_payment on;").start();
    let challenge = nginx.get("/paid/a").challenge();
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    nginx.get_paid("/paid/a", &stage.buy(&challenge)).expect(200);
    let agent = nginx.agent(None);
    nginx.end(Signal::TERM);
    gone(agent);
}

fn daemon(stage: &Stage) {
    let mut nginx = stage.site().daemon().paid("").start();
    sells(&nginx);
    nginx.reload();
    sells(&nginx);
    nginx.end(Signal::QUIT);
    wait::until("both l402d to end", || stage.agents().is_empty().then_some(()));
}

/// nginx's own way to change its binary: both run for a while, then the old one leaves.
fn binary_upgrade(stage: &Stage) {
    let node = stage.node();
    // A new binary gets no environment from the old one.
    let block = format!(
        "l402_backend main {{ type lnd; address {}; macaroon {}; cert {}; }}",
        node.address(),
        node.macaroon("invoice").display(),
        node.certificate().display()
    );
    let site = stage.site().daemon().without_env("LN_CLIENT_TYPE").http(&block);
    let mut nginx = site.paid("l402_backend main; l402_max_uses 2;").start();
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &credential).expect(200);
    let old = nginx.agent(None);
    process::signal(nginx.master(), Signal::USR2);
    wait::until("a second l402d", || (stage.agents().len() == 2).then_some(()));
    sells(&nginx);
    nginx.follow_upgrade();
    gone(old);
    nginx.get_paid("/paid/a", &credential).expect(200);
    nginx.get_paid("/paid/a", &credential).challenge();
    sells(&nginx);
}

fn one_worker(stage: &Stage) {
    let nginx = stage.site().workers(1).paid("").start();
    sells(&nginx);
    nginx.agent(None);
}

/// l402d can't work with what lies in its place: nothing is sold, nothing is free, the rest is served, and when the
/// operator has mended it, it goes on by itself.
fn unusable_database(stage: &Stage) {
    let site = stage.site().http("l402_agent_timeout 2s;").paid("");
    let state = site.state_dir().to_owned();
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    let database = state.join("l402.db");
    fs::write(&database, "this is no database\n".repeat(400)).unwrap();
    if process::is_root() {
        let (user, group) = process::nobody();
        chown(&state, Some(user), Some(group)).unwrap();
        chown(&database, Some(user), Some(group)).unwrap();
    }
    let nginx = site.start();
    for _ in 0..3 {
        let answer = nginx.get("/paid/a").expect(503);
        assert!(answer.header("Retry-After").is_some());
        nginx.get("/free/a").expect(200);
    }
    let told = |(_, log): &(String, String)| log.contains("l402.db");
    assert!(stage.logs().iter().any(told), "no log says which file is bad");
    fs::remove_file(&database).unwrap();
    wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
}

/// The module is loaded and nothing is sold: no node is needed, no process, no directory.
fn nothing_sold_starts_nothing(stage: &Stage) {
    let site = stage.site().without_env("LN_CLIENT_TYPE").server("location /paid/ { l402 off; }");
    let state = site.state_dir().to_owned();
    let nginx = site.start();
    nginx.get("/paid/a").expect(200);
    assert!(stage.agents().is_empty() && !state.exists());
}
