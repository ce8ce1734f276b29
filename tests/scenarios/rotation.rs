//! Root keys that change while nginx serves: the newest signs, all verify, and one that is gone makes tokens stale.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::challenge::Challenge;
use crate::harness::nginx::Nginx;
use crate::harness::process::{self, Signal};
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("rotation::of_an_external_l402d", of_an_external_l402d),
    Scenario::on_nodes("rotation::of_a_coprocess", of_a_coprocess),
    Scenario::on_simulator("rotation::of_an_operators_file", of_an_operators_file),
    Scenario::on_simulator("rotation::nobody_pays_twice", nobody_pays_twice),
];

/// `l402d rotate-key`.
fn rotate(stage: &Stage, arguments: &[&str]) {
    let output = Command::new(stage.built("l402d")).arg("rotate-key").args(arguments).output();
    let output = output.expect("l402d can be run");
    assert!(output.status.success(), "{output:?}");
}

fn rotate_in(stage: &Stage, state: &Path, more: &[&str]) {
    let before = fs::metadata(state.join("root.key")).expect("a key");
    rotate(stage, &[&["--state-dir", state.to_str().expect("UTF-8")], more].concat());
    let text = fs::read_to_string(state.join("root.key")).expect("a key");
    text.lines().for_each(|key| stage.keep_secret(key));
    let after = fs::metadata(state.join("root.key")).expect("a key");
    assert_eq!((after.uid(), after.mode()), (before.uid(), before.mode()), "l402d can still read it");
}

/// The public name of the key that signed this.
fn key_of(challenge: &Challenge) -> String {
    challenge.macaroon().token_id()[..8].to_owned()
}

/// Waits until each worker signs with another key than these.
fn until_signed_anew(nginx: &Nginx<'_>, former: &[String]) -> String {
    wait::until("a new key everywhere", || {
        // More connections at once than one worker takes.
        let keys = wait::at_once(24, |_| key_of(&nginx.get("/paid/a").challenge()));
        let keys: BTreeSet<String> = keys.into_iter().collect();
        let only = keys.first().filter(|key| keys.len() == 1 && !former.contains(key));
        only.cloned()
    })
}

/// Rotates by `rotate` and makes it known by `reload`, twice: the second time only the newest key is kept.
fn through_rotations(stage: &Stage, nginx: &Nginx<'_>, rotate: impl Fn(&[&str]), reload: impl Fn()) {
    let old = nginx.buy("/paid/open/a");
    let single = nginx.buy("/paid/a");
    let open = nginx.get("/paid/a").challenge();
    let first = key_of(&open);
    rotate(&[]);
    reload();
    let second = until_signed_anew(nginx, std::slice::from_ref(&first));
    wait::at_once(12, |_| nginx.get_paid("/paid/open/a", &old).expect(200));
    nginx.get_paid("/paid/a", &single).expect(200);
    nginx.get_paid("/paid/a", &single).challenge();
    // A challenge of before can be paid after.
    nginx.get_paid("/paid/a", &stage.buy(&open)).expect(200);
    let new = nginx.buy("/paid/open/a");
    nginx.get_paid("/paid/open/a", &new).expect(200);

    rotate(&["--keep", "1"]);
    reload();
    until_signed_anew(nginx, &[first, second]);
    for gone in [&old, &new] {
        // Stale, not forged: the client learns the price, not that it did wrong.
        nginx.get_paid("/paid/open/a", gone).challenge();
    }
    let newest = nginx.buy("/paid/open/a");
    nginx.get_paid("/paid/open/a", &newest).expect(200);
}

const PAID: &str = "location /paid/open/ { l402_indefinite_access on; }";

fn of_an_external_l402d(stage: &Stage) {
    let state = stage.dir().join("agent-state");
    let agent = stage.agent(&state);
    let line = format!("l402_agent unix:{};", agent.socket().display());
    let nginx = stage.site().without_env("LN_CLIENT_TYPE").http(&line).paid(PAID).start();
    let pid = agent.pid();
    let reload = || process::signal(pid, Signal::HUP);
    through_rotations(stage, &nginx, |more| rotate_in(stage, &state, more), reload);
    assert_eq!(stage.agents(), [pid], "it is the same process");
}

fn of_a_coprocess(stage: &Stage) {
    let site = stage.site().paid(PAID);
    let state = site.state_dir().to_owned();
    let nginx = site.start();
    through_rotations(stage, &nginx, |more| rotate_in(stage, &state, more), || nginx.reload());
}

fn of_an_operators_file(stage: &Stage) {
    let file = stage.dir().join("keys");
    fs::write(&file, "the operator's own key, made long ago\n").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("our own");
    let path = file.to_str().expect("UTF-8").to_owned();
    let nginx = stage.site().env("ROOT_KEY_FILE", &path).paid(PAID).start();
    let rotate_file = |more: &[&str]| rotate(stage, &[&["--key-file", path.as_str()], more].concat());
    through_rotations(stage, &nginx, rotate_file, || nginx.reload());
}

/// Clients that buy and come back all the while, each time to whichever worker takes them: no token is
/// unknown to any, and no request fails.
fn nobody_pays_twice(stage: &Stage) {
    let state = stage.dir().join("agent-state");
    let agent = stage.agent(&state);
    let line = format!("l402_agent unix:{};", agent.socket().display());
    let nginx = stage.site().without_env("LN_CLIENT_TYPE").http(&line).paid(PAID).start();
    let mut keys = vec![key_of(&nginx.get("/paid/a").challenge())];
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut bought = 0;
                    while !over.load(Ordering::SeqCst) {
                        let credential = nginx.buy("/paid/open/a");
                        for _ in 0..4 {
                            nginx.get_paid("/paid/open/a", &credential).expect(200);
                        }
                        bought += 1;
                    }
                    bought
                })
            })
            .collect();
        {
            let _at_the_end = wait::Flagged(&over);
            for _ in 0..3 {
                rotate_in(stage, &state, &[]);
                process::signal(agent.pid(), Signal::HUP);
                keys.push(until_signed_anew(&nginx, &keys));
            }
        }
        for client in clients {
            let bought: u32 = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            assert!(bought > 3, "{bought} tokens during three rotations");
        }
    });
}
