//! What was used stays used, and what was paid stays good: over reloads, restarts and crashes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::process::{self, Signal};
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait::{self, SOON};

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("replay::after_reload", after_reload),
    Scenario::on_nodes("replay::after_restart", after_restart),
    Scenario::on_nodes("replay::after_kill_of_l402d", after_kill_of_l402d),
    Scenario::on_nodes("replay::after_kill_of_everything", after_kill_of_everything),
    Scenario::on_nodes("replay::clients_see_no_reload", clients_see_no_reload),
    Scenario::on_simulator("replay::root_key_of_the_operator", root_key_of_the_operator),
];

/// Three payments: one used, one half used, one not used; and what follows for each after `event`.
fn survive(stage: &Stage, event: impl FnOnce(&mut crate::harness::nginx::Nginx<'_>)) {
    let mut nginx = stage.paid_site("l402_max_uses 2; l402_auto_detect_payment on;");
    let (used, half, unused) = (nginx.buy("/paid/a"), nginx.buy("/paid/a"), nginx.buy("/paid/a"));
    let later = nginx.get("/paid/a").challenge();
    nginx.get_paid("/paid/a", &used).expect(200);
    nginx.get_paid("/paid/a", &used).expect(200);
    nginx.get_paid("/paid/a", &half).expect(200);
    event(&mut nginx);
    nginx.get_paid("/paid/a", &used).challenge();
    nginx.get_paid("/paid/a", &half).expect(200);
    nginx.get_paid("/paid/a", &half).challenge();
    nginx.get_paid("/paid/a", &unused).expect(200);
    // A challenge of before can be paid after.
    nginx.get_paid("/paid/a", &stage.buy(&later)).expect(200);
    nginx.get_paid("/paid/a", &later.alone()).expect(200);
    nginx.get_paid("/paid/a", &later.alone()).challenge();
}

fn after_reload(stage: &Stage) {
    survive(stage, |nginx| nginx.reload());
}

fn after_restart(stage: &Stage) {
    survive(stage, |nginx| nginx.restart());
}

fn after_kill_of_l402d(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    survive(stage, |nginx| {
        let agent = nginx.agent(None);
        process::signal(agent, Signal::KILL);
        nginx.agent(Some(agent));
    });
}

/// As when the machine loses its power: nobody had time to tidy up.
fn after_kill_of_everything(stage: &Stage) {
    stage.tolerate("signal 9");
    stage.tolerate("open socket");
    survive(stage, |nginx| {
        let all: Vec<_> = [nginx.master()].into_iter().chain(nginx.workers()).chain(stage.agents()).collect();
        for pid in &all {
            process::signal(*pid, Signal::KILL);
        }
        wait::until("all to be gone", || all.iter().all(|pid| !process::alive(*pid)).then_some(()));
        nginx.restart();
    });
}

fn clients_see_no_reload(stage: &Stage) {
    let nginx = stage.paid_site("l402_indefinite_access on;");
    let credential = nginx.buy("/paid/a");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let (nginx, over, credential) = (&nginx, &over, &credential);
                scope.spawn(move || {
                    let mut asked = 0;
                    while !over.load(Ordering::SeqCst) {
                        asked += 1;
                        match client {
                            0 => drop(nginx.get("/paid/b").challenge()),
                            _ => drop(nginx.get_paid("/paid/a", credential).expect(200)),
                        }
                    }
                    asked
                })
            })
            .collect();
        {
            let _at_the_end = wait::Flagged(&over);
            (0..3).for_each(|_| nginx.reload());
        }
        for client in clients {
            let asked = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            assert!(asked > 3, "{asked} requests during three reloads");
        }
    });
    // The last of the old co-processes goes when its work is done.
    assert!(
        wait::within(SOON + Duration::from_secs(5), || (stage.agents().len() == 1).then_some(())).is_some()
    );
}

/// The operator's own root key outlives the state directory; another key makes tokens stale, not forged.
fn root_key_of_the_operator(stage: &Stage) {
    let key = "an operator's root key of 40 characters.";
    stage.keep_secret(key);
    let site = |name: &str, key: &str| {
        let state = stage.dir().join(name);
        let site = stage.site().state_in(&state).env("ROOT_KEY", key).server("l402_origin shop.example;");
        site.paid("l402_indefinite_access on;").start()
    };
    let nginx = site("first", key);
    let credential = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &credential).expect(200);
    drop(nginx);
    site("second", key).get_paid("/paid/a", &credential).expect(200);
    site("third", "another root key of at least 32 characters").get_paid("/paid/a", &credential).challenge();
}
