//! An upgrade: files of another version take the place of those that run, with another number of the protocol between the
//! module and l402d. Nothing that is bought is lost, and no request fails that need not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::http::Response;
use crate::harness::nginx::Nginx;
use crate::harness::process::{self, Signal};
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_next("upgrade::former_files_removed", |stage| whole(stage, Former::Removed)),
    Scenario::on_next("upgrade::former_files_kept", |stage| whole(stage, Former::Kept)),
    Scenario::on_next("upgrade::module_first", |stage| halves(stage, "next", "former")),
    Scenario::on_next("upgrade::agent_first", |stage| halves(stage, "former", "next")),
];

const MODULE: &str = "ngx_http_l402_module.so";

/// The fate of l402d's former file at the hands of a package manager.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Former {
    Removed,
    Kept,
}

/// The directory in which a package has put its files.
struct Installed<'a> {
    stage: &'a Stage,
    dir: PathBuf,
}

impl<'a> Installed<'a> {
    fn new(stage: &'a Stage) -> Self {
        let dir = stage.dir().join("bin/installed");
        fs::create_dir(&dir).expect("a directory");
        Self { stage, dir }
    }

    fn module(&self) -> PathBuf {
        self.dir.join(MODULE)
    }

    /// One file of a version, put in place as package managers do.
    fn put(&self, version: &str, name: &str, to: &str) {
        let from = if version == "next" { self.stage.next(name) } else { self.stage.built(name) };
        let new = self.dir.join(".new");
        fs::copy(from, &new).expect("a file");
        fs::rename(&new, self.dir.join(to)).expect("the same directory");
    }

    /// l402d of a version: under the version's own name, and `l402d` is a link to it.
    fn put_agent(&self, version: &str) {
        let own = file_of(version);
        self.put(version, "l402d", own);
        let new = self.dir.join(".link");
        symlink(own, &new).expect("a link");
        fs::rename(&new, self.dir.join("l402d")).expect("the same directory");
    }

    fn runs(&self, version: &str) {
        let program = self.dir.join(file_of(version));
        let runs = || self.stage.agents().iter().any(|pid| process::program(*pid).as_ref() == Some(&program));
        wait::until("that l402d", || runs().then_some(()));
    }
}

/// The name under which the former module and the next one look for their own l402d.
fn file_of(version: &str) -> &'static str {
    match version {
        "next" => concat!("l402d-", env!("CARGO_PKG_VERSION"), "-p8"),
        _ => concat!("l402d-", env!("CARGO_PKG_VERSION"), "-p7"),
    }
}

/// A site that gets its wallet from its configuration: a new binary of nginx has no environment of the old one.
fn start<'a>(stage: &'a Stage, installed: &Installed<'_>) -> Nginx<'a> {
    let node = stage.node();
    let block = format!(
        "l402_backend main {{ type lnd; address {}; macaroon {}; cert {}; }}",
        node.address(),
        node.macaroon("invoice").display(),
        node.certificate().display()
    );
    let site = stage.site().module(installed.module()).daemon().without_env("LN_CLIENT_TYPE").http(&block);
    let directives = "l402_backend main; l402_auto_detect_payment on; \
                      location /paid/open/ { l402_indefinite_access on; }";
    site.paid(directives).start()
}

/// Answers that clients should not have got.
#[derive(Default)]
struct Met(Mutex<Vec<String>>);

impl Met {
    fn check(&self, what: &str, answer: &Response, fine: bool) {
        if !fine {
            self.0.lock().unwrap().push(format!("{what}: {} {}", answer.status, answer.text()));
        }
    }

    fn nothing(&self) {
        let met = std::mem::take(&mut *self.0.lock().unwrap());
        assert!(met.is_empty(), "{met:#?}");
    }
}

/// Clients that buy, draw and come back with reusable tokens, as long as `act` takes. While `is_agent_away` those that need
/// l402d may be asked to come back.
fn under_load(nginx: &Nginx<'_>, stage: &Stage, reusable: &str, act: impl FnOnce(&AtomicBool)) {
    let (over, is_agent_away, met) = (AtomicBool::new(false), AtomicBool::new(false), Met::default());
    let come_back = |answer: &Response| {
        answer.status == 503 && answer.header("Retry-After").is_some() && is_agent_away.load(Ordering::SeqCst)
    };
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (over, met, come_back) = (&over, &met, &come_back);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    if client == 0 {
                        let answer = nginx.get("/paid/a");
                        met.check("a challenge", &answer, answer.status == 402 || come_back(&answer));
                        if answer.status == 402 {
                            let credential = stage.buy(&answer.challenge());
                            let answer = nginx.get_paid("/paid/a", &credential);
                            met.check("a draw", &answer, answer.status == 200 || come_back(&answer));
                        }
                    } else {
                        let answer = nginx.get_paid("/paid/open/a", reusable);
                        met.check("a reusable token", &answer, answer.status == 200);
                    }
                }
            });
        }
        let _at_the_end = wait::Flagged(&over);
        act(&is_agent_away);
    });
    met.nothing();
}

/// Files replaced, reload, l402d killed, a new binary of nginx.
fn whole(stage: &Stage, former: Former) {
    stage.tolerate("signal 9");
    let installed = Installed::new(stage);
    installed.put("former", MODULE, MODULE);
    installed.put_agent("former");
    let mut nginx = start(stage, &installed);
    let reusable = nginx.buy("/paid/open/a");
    let (unpaid, unused) = (nginx.get("/paid/b").challenge(), nginx.buy("/paid/a"));
    installed.runs("former");

    installed.put("next", MODULE, MODULE);
    installed.put_agent("next");
    if former == Former::Removed {
        fs::remove_file(installed.dir.join(file_of("former"))).expect("the former l402d");
    }
    // nginx keeps the module that it has loaded.
    let beside_the_former_module = if former == Former::Removed { "next" } else { "former" };
    let first = nginx.agent(None);
    under_load(&nginx, stage, &reusable, |is_agent_away| {
        nginx.reload();
        let second = wait::until("one other l402d", || match stage.agents()[..] {
            [agent] if agent != first => Some(agent),
            _ => None,
        });
        installed.runs(beside_the_former_module);
        is_agent_away.store(true, Ordering::SeqCst);
        process::signal(second, Signal::KILL);
        nginx.agent(Some(second));
        installed.runs(beside_the_former_module);
        wait::until("it to sell again", || (nginx.get("/paid/a").status == 402).then_some(()));
        is_agent_away.store(false, Ordering::SeqCst);
    });
    nginx.get_paid("/paid/a", &unused).expect(200);
    nginx.get_paid("/paid/a", &unused).stale();

    under_load(&nginx, stage, &reusable, |_| {
        process::signal(nginx.master(), Signal::USR2);
        installed.runs("next");
        wait::until("the new binary to sell", || {
            let is_new = Path::new(&nginx.dir().join("nginx.pid.oldbin")).exists();
            (is_new && nginx.get("/paid/a").status == 402).then_some(())
        });
    });
    nginx.follow_upgrade();
    installed.runs("next");
    nginx.get_paid("/paid/a", &unused).stale();
    stage.pay(&unpaid);
    nginx.get_paid("/paid/b", &unpaid.alone()).expect(200);
    nginx.get_paid("/paid/open/a", &reusable).expect(200);
}

/// Each half may be upgraded before the other, as where l402d runs by itself.
fn halves(stage: &Stage, module: &str, agent: &str) {
    let installed = Installed::new(stage);
    installed.put(module, MODULE, MODULE);
    installed.put(agent, "l402d", "l402d");
    let nginx = start(stage, &installed);
    let challenge = nginx.get("/paid/a").challenge();
    nginx.get_paid("/paid/a", &challenge.alone()).challenge();
    stage.pay(&challenge);
    nginx.get_paid("/paid/a", &challenge.alone()).expect(200);
    nginx.get_paid("/paid/a", &challenge.alone()).stale();
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
    nginx.get_paid("/paid/open/a", &nginx.buy("/paid/open/a")).expect(200);
}
