//! A panic in every callback of the module: no grant by it, nginx goes on, and all is well once it is over.
//!
//! The module under test is a build of its own (`scripts/faulty.sh`) in which a file names the callback that panics.

use std::fs;
use std::path::PathBuf;

use crate::harness::http::{Request, Response};
use crate::harness::nginx::Nginx;
use crate::harness::process::{self, Pid, Signal};
use crate::harness::scenario::Scenario;
use crate::harness::site::{Site, content};
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_faults("panics::in_a_request", in_a_request),
    Scenario::on_faults("panics::in_the_link", in_the_link),
    Scenario::on_faults("panics::in_the_supervision", in_the_supervision),
    Scenario::on_faults("panics::in_an_alarm", in_an_alarm),
    Scenario::on_faults("panics::at_the_end_of_a_request", at_the_end_of_a_request),
    Scenario::on_faults("panics::at_a_reload", at_a_reload),
    Scenario::on_faults("panics::in_the_configuration", in_the_configuration),
];

/// What the module says of its own faults; each scenario here causes them.
const SAID: [&str; 3] = ["a fault of the module", "panicked at", "open socket"];

/// Two workers, short waits, a reusable token's location, and each variable and filter in use.
fn site(stage: &Stage) -> Site<'_> {
    SAID.into_iter().for_each(|text| stage.tolerate(text));
    stage
        .site()
        .faulty()
        .workers(2)
        .http("l402_agent_timeout 2s;\nlog_format facts '$status $l402_status';")
        .paid("location /paid/open/ { l402_indefinite_access on; }")
        .server(
            "add_header X-Worker $pid always;\nlocation /other/ { add_header X-Status \"-$l402_status\"; }",
        )
}

/// A site in which something can be made to panic.
struct Rig<'a> {
    nginx: Nginx<'a>,
    fault: PathBuf,
    reusable: String,
}

impl<'a> Rig<'a> {
    fn start(stage: &'a Stage) -> Self {
        let site = site(stage);
        let fault = site.fault();
        let nginx = site.start();
        let reusable = nginx.buy("/paid/open/a");
        // A worker that a fault reaches before it has the keys can verify nothing.
        each_worker(&nginx, || {
            Some(nginx.get_paid("/paid/open/a", &reusable)).filter(|answer| answer.status == 200)
        });
        Self { nginx, fault, reusable }
    }

    /// Lets the callback panic for as long as `act` runs, and until the log shows that it did.
    fn with_fault(&self, callback: &str, act: impl FnOnce()) {
        let from = self.nginx.error_log().len();
        fs::write(&self.fault, callback).expect("a file");
        act();
        self.nginx.wait_for_error(&format!("injected into {callback}"), from);
        fs::remove_file(&self.fault).expect("the file");
    }

    /// What an unpaid request gets, whatever happens: never what is for sale.
    fn unpaid(&self) -> Option<Response> {
        let answer = Request::get("/paid/a").try_send(self.nginx.address()).ok()?;
        assert!(answer.status >= 400, "{answer:?}");
        assert_ne!(answer.text(), content("paid/a"));
        Some(answer)
    }

    /// What isn't sold, and what was bought for good.
    fn others_go_on(&self) {
        self.nginx.get("/free/a").expect(200);
        self.nginx.get_paid("/paid/open/a", &self.reusable).expect(200);
    }

    /// Buys and gets, at each worker.
    fn all_is_well(&self) {
        each_worker(&self.nginx, || self.unpaid().filter(|answer| answer.status == 402));
        self.others_go_on();
        let single = self.nginx.buy("/paid/a");
        self.nginx.get_paid("/paid/a", &single).expect(200);
        self.nginx.get_paid("/paid/a", &single).challenge();
    }
}

/// Asks until each worker has given the answer that counts.
fn each_worker(nginx: &Nginx<'_>, ask: impl Fn() -> Option<Response> + Sync) {
    let mut well: Vec<Pid> = Vec::new();
    wait::until("that answer of each worker", || {
        let answers = wait::at_once(6, |_| ask()).into_iter().flatten();
        well.extend(answers.filter_map(|answer| answer.header("X-Worker")?.parse::<Pid>().ok()));
        nginx.workers().iter().all(|worker| well.contains(worker)).then_some(())
    });
}

fn in_a_request(stage: &Stage) {
    let rig = Rig::start(stage);
    for callback in ["handler::post_read:", "handler::access:", "filter::filter:"] {
        rig.with_fault(callback, || {
            assert!(rig.unpaid().is_none_or(|answer| answer.status == 500), "{callback}");
            let paid = Request::get("/paid/open/a").paid(&rig.reusable).try_send(rig.nginx.address());
            assert!(paid.is_err() || paid.is_ok_and(|answer| answer.status == 500), "{callback}");
        });
        rig.all_is_well();
    }
    // Nobody who asks for a variable gets its location's content without paying for that.
    rig.with_fault("variables::get:", || {
        rig.unpaid();
        let _ = Request::get("/other/a").try_send(rig.nginx.address());
        rig.others_go_on();
    });
    rig.all_is_well();
    // What was remembered of a request isn't tidied up: nothing but some memory is lost.
    rig.with_fault("context::drop_note:", || {
        rig.unpaid();
        rig.others_go_on();
    });
    rig.all_is_well();
}

fn in_the_link(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    let rig = Rig::start(stage);
    for callback in ["agent_link::on_readable:", "agent_link::on_flush:"] {
        rig.with_fault(callback, || {
            // Asked again on the next connection, or 503 in the end.
            let status = rig.unpaid().map(|answer| answer.status);
            assert!(matches!(status, Some(402 | 503)), "{callback} {status:?}");
            rig.others_go_on();
        });
        rig.all_is_well();
    }
    // The timer of the next attempt.
    rig.with_fault("agent_link::on_timer:", || {
        let agent = rig.nginx.agent(None);
        process::signal(agent, Signal::KILL);
        rig.others_go_on();
        rig.nginx.agent(Some(agent));
    });
    rig.all_is_well();
}

fn in_the_supervision(stage: &Stage) {
    stage.tolerate("exited on signal 9");
    let rig = Rig::start(stage);
    for callback in ["coprocess::on_lifeline:", "coprocess::on_timer:"] {
        let agent = rig.nginx.agent(None);
        rig.with_fault(callback, || {
            process::signal(agent, Signal::KILL);
            rig.unpaid();
            rig.others_go_on();
        });
        rig.nginx.agent(Some(agent));
        rig.all_is_well();
    }
}

fn in_an_alarm(stage: &Stage) {
    let rig = Rig::start(stage);
    let agent = rig.nginx.agent(None);
    process::stop(agent);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| rig.unpaid());
        rig.with_fault("suspension::on_alarm:", || {});
        let answer = waiting.join().expect("no panic").expect("an answer");
        assert_eq!(answer.status, 503, "the alarm sounds again");
    });
    rig.others_go_on();
    process::signal(agent, Signal::CONT);
    rig.all_is_well();
}

/// Here the table of questions would keep a pointer to freed memory: the worker ends, and nginx starts another.
fn at_the_end_of_a_request(stage: &Stage) {
    stage.tolerate("exited on signal 6");
    let rig = Rig::start(stage);
    let before = rig.nginx.workers();
    rig.with_fault("suspension::on_request_end:", || {
        rig.unpaid();
    });
    wait::until("another worker", || (rig.nginx.workers() != before).then_some(()));
    rig.all_is_well();
}

fn at_a_reload(stage: &Stage) {
    // nginx's debug builds abort over sockets that exit_process left open; others only say so.
    stage.tolerate("aborting");
    let rig = Rig::start(stage);
    for callback in ["process::exit_process:", "process::init_module:", "nginx::drop_kept<"] {
        rig.with_fault(callback, || {
            rig.nginx.reload();
            rig.others_go_on();
        });
        rig.all_is_well();
    }
    // Workers without a link serve what isn't sold, and nothing that is.
    rig.with_fault("process::init_process:", || {
        rig.nginx.reload();
        rig.nginx.get("/free/a").expect(200);
        assert_eq!(rig.unpaid().map(|answer| answer.status), Some(503));
    });
    rig.nginx.reload();
    rig.all_is_well();
}

fn in_the_configuration(stage: &Stage) {
    const CALLBACKS: [&str; 7] = [
        "variables::add:",
        "service::finish:",
        "install_filter:",
        "merge::create<",
        "merge::merge_location:",
        "directives::set_in_location:",
        "directives::set_in_main:",
    ];
    let rig = Rig::start(stage);
    for callback in CALLBACKS {
        // The new configuration is refused; the workers of the old one serve on.
        let workers = rig.nginx.workers();
        rig.with_fault(callback, || process::signal(rig.nginx.master(), Signal::HUP));
        assert_eq!(rig.nginx.workers(), workers, "{callback}");
        rig.others_go_on();
        let refused = site(stage);
        fs::write(refused.fault(), callback).expect("a file");
        let said = refused.check();
        assert!(!said.status.success(), "{callback}");
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(text.contains(&format!("injected into {callback}")), "{text}");
    }
    rig.all_is_well();
}
