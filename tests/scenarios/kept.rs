//! What an operator must not lose: backed up while it is sold, damaged, restored, and nothing sold twice afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::process::Signal;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("kept::backed_up_while_it_sells", backed_up_while_it_sells),
    Scenario::on_simulator("kept::restored_sells_nothing_twice", restored_sells_nothing_twice),
    Scenario::on_simulator("kept::of_no_use", of_no_use),
    Scenario::on_simulator("kept::newer_schema", newer_schema),
];

const PAID: &str = "location /paid/open/ { l402_indefinite_access on; }";

fn l402d(stage: &Stage, command: &str, dir: &Path, state: Option<&Path>) -> Output {
    let mut program = Command::new(stage.built("l402d"));
    program.env_clear().arg(command).arg(dir);
    if let Some(state) = state {
        program.arg("--state-dir").arg(state);
    }
    program.output().expect("l402d can be run")
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn complains(output: &Output, code: i32, of: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(code) && text.contains(of), "expected {code} {of:?}: {output:?}");
}

/// Clients buy all the while, and each backup is whole.
fn backed_up_while_it_sells(stage: &Stage) {
    let nginx = stage.paid_site("");
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
    let state = nginx.dir().join("state");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _at_the_end = wait::Flagged(&over);
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
            }
        });
        for round in 0..3 {
            let dir = stage.dir().join(format!("backup-{round}"));
            succeeds(&l402d(stage, "backup", &dir, Some(&state)));
            assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
            let names: BTreeSet<_> = fs::read_dir(&dir)
                .unwrap()
                .map(|entry| {
                    let entry = entry.unwrap();
                    assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{entry:?}");
                    entry.file_name().into_string().unwrap()
                })
                .collect();
            assert_eq!(
                names.iter().map(String::as_str).collect::<Vec<_>>(),
                ["l402.db", "manifest.json", "root.key"]
            );
            assert!(succeeds(&l402d(stage, "verify", &dir, None)).contains("can be restored"));
        }
    });
    complains(&l402d(stage, "backup", &stage.dir().join("backup-0"), Some(&state)), 2, "not empty");
    complains(&l402d(stage, "restore", &stage.dir().join("backup-0"), Some(&state)), 2, "stop it first");
}

/// Between the backup and the loss a payment is used that the backup knows nothing of.
fn restored_sells_nothing_twice(stage: &Stage) {
    let mut nginx = stage.site().paid(PAID).start();
    let (state, dir) = (nginx.dir().join("state"), stage.dir().join("backup"));
    let used_before = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &used_before).expect(200);
    let reusable = nginx.buy("/paid/open/a");
    let used_after = nginx.buy("/paid/a");
    succeeds(&l402d(stage, "backup", &dir, Some(&state)));
    nginx.get_paid("/paid/a", &used_after).expect(200);
    let owner = fs::metadata(state.join("l402.db")).unwrap().uid();

    nginx.end(Signal::QUIT);
    wait::until("l402d to end", || stage.agents().is_empty().then_some(()));
    complains(&l402d(stage, "restore", &dir, Some(&state)), 2, "is there already");
    for entry in fs::read_dir(&state).unwrap().flatten() {
        if entry.file_name() != "l402d.log" {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    assert!(succeeds(&l402d(stage, "restore", &dir, Some(&state))).contains("a new root key signs"));
    let keys = fs::read_to_string(state.join("root.key")).unwrap();
    for key in keys.lines() {
        stage.keep_secret(key.trim_start_matches("reusable-only "));
    }
    for name in ["l402.db", "root.key"] {
        let found = fs::metadata(state.join(name)).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (owner, 0o600), "{name}");
    }

    nginx.restart();
    for used in [&used_before, &used_after] {
        nginx.get_paid("/paid/a", used).challenge();
    }
    wait::at_once(12, |_| nginx.get_paid("/paid/open/a", &reusable).expect(200));
    let new = nginx.buy("/paid/a");
    nginx.get_paid("/paid/a", &new).expect(200);
    nginx.get_paid("/paid/a", &new).challenge();
    nginx.reload();
    for used in [&used_before, &used_after, &new] {
        nginx.get_paid("/paid/a", used).challenge();
    }
    nginx.get_paid("/paid/open/a", &reusable).expect(200);
}

/// What is missing, cut or changed is named, and nothing of it is restored.
fn of_no_use(stage: &Stage) {
    let nginx = stage.paid_site("");
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
    let (state, dir) = (nginx.dir().join("state"), stage.dir().join("backup"));
    let elsewhere = stage.dir().join("elsewhere");
    succeeds(&l402d(stage, "backup", &dir, Some(&state)));
    let file = dir.join("l402.db");
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    for bytes in [&changed[..], &whole[..4096]] {
        fs::write(&file, bytes).unwrap();
        for (command, to) in [("verify", None), ("restore", Some(elsewhere.as_path()))] {
            complains(&l402d(stage, command, &dir, to), 1, "l402.db is not what was backed up");
        }
    }
    fs::remove_file(&file).unwrap();
    complains(&l402d(stage, "verify", &dir, None), 1, "l402.db");
    fs::write(&file, &whole).unwrap();
    succeeds(&l402d(stage, "verify", &dir, None));
    fs::rename(dir.join("manifest.json"), dir.join("aside")).unwrap();
    complains(&l402d(stage, "verify", &dir, None), 2, "manifest.json");
    let manifest = fs::read_to_string(dir.join("aside")).unwrap();
    for (from, to, of) in
        [("root.key", "../root.key", "no backup holds"), ("\"format\": 1", "\"format\": 2", "upgrade")]
    {
        fs::write(dir.join("manifest.json"), manifest.replace(from, to)).unwrap();
        complains(&l402d(stage, "restore", &dir, Some(&elsewhere)), 2, of);
    }
    assert!(!elsewhere.exists());
    let open = stage.dir().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    complains(&l402d(stage, "backup", &open, Some(&state)), 2, "chmod 700");
    complains(&l402d(stage, "backup", &stage.dir().join("b"), Some(stage.dir())), 2, "nothing of l402d's");
}

/// A database of a later release is named, and left as it is.
fn newer_schema(stage: &Stage) {
    let mut nginx = stage.paid_site("");
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
    nginx.end(Signal::QUIT);
    wait::until("l402d to end", || stage.agents().is_empty().then_some(()));
    let (state, dir) = (nginx.dir().join("state"), stage.dir().join("backup"));
    let database = rusqlite::Connection::open(state.join("l402.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    succeeds(&l402d(stage, "backup", &dir, Some(&state)));
    complains(&l402d(stage, "verify", &dir, None), 1, "was written by a newer l402d (schema 99");
    stage.tolerate("l402d");
    nginx.restart();
    nginx.wait_for_error("was written by a newer l402d (schema 99", 0);
    assert_eq!(nginx.get("/paid/a").status, 503);
}
