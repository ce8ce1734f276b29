//! The real program, started by hand, on a simulated node.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
    thread,
};

use crate::support::{Daemon, Front, command, is_granted, is_used_up};
use agent_api::{Fault, FromAgent, Proof, ToAgent};
use lnsim::{Fault as Trouble, FaultKind, Method, Permit, Sim, SimOptions};

fn setup() -> (Sim, tempfile::TempDir) {
    (Sim::start(SimOptions::default()).unwrap(), tempfile::tempdir().unwrap())
}

#[test]
fn an_invoice_is_made_paid_and_used_once_over_a_restart() {
    let (sim, dir) = setup();
    let daemon = Daemon::start(&sim, dir.path());
    let mut front = daemon.connect();
    let keys = front.keys.clone();
    assert_eq!(keys.len(), 1);

    let (hash, bolt11) = front.new_invoice();
    let FromAgent::Unsettled { bolt11: again, expires_at, .. } = front.look_up(1, hash) else { panic!() };
    assert_eq!(again, bolt11, "the same invoice, not a new one");
    assert!(expires_at > 1_700_000_000);
    let preimage = sim.pay(&bolt11).unwrap();
    assert!(is_granted(&front.look_up(2, hash)));
    assert!(is_used_up(&front.look_up(3, hash)));
    assert!(is_used_up(&front.prove(4, hash, preimage)), "one payment, however it is proved");

    let (unknown, other) = ([7; 32], front.new_invoice());
    assert!(matches!(front.look_up(5, unknown), FromAgent::Dead { .. }));
    let preimage = sim.pay(&other.1).unwrap();
    assert!(is_granted(&front.prove(6, other.0, preimage)));

    let (status, log) = daemon.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(front.read(), None);

    let daemon = Daemon::start(&sim, dir.path());
    let mut front = daemon.connect();
    assert_eq!(front.keys, keys);
    assert!(is_granted(&front.look_up(2, hash)), "a resend, after a restart");
    assert!(is_used_up(&front.look_up(7, hash)));
}

#[test]
fn a_kill_forgets_no_claim() {
    let (sim, dir) = setup();
    let daemon = Daemon::start(&sim, dir.path());
    let mut front = daemon.connect();
    let mut paid = Vec::new();
    for n in 0..20 {
        let (hash, bolt11) = front.new_invoice();
        let preimage = sim.pay(&bolt11).unwrap();
        assert!(is_granted(&front.prove(n, hash, preimage)));
        paid.push((n, hash, preimage));
    }
    daemon.stop("KILL");
    let daemon = Daemon::start(&sim, dir.path());
    let mut front = daemon.connect();
    for (n, hash, preimage) in paid {
        assert!(is_used_up(&front.prove(1000 + n, hash, preimage)));
        assert!(is_granted(&front.prove(n, hash, preimage)), "a resend");
    }
}

#[test]
fn two_that_overlap_share_key_socket_and_claims() {
    let (sim, dir) = setup();
    let (old, new) = thread::scope(|scope| {
        // At once, so that both want to make key and database.
        let both = [(); 2].map(|()| scope.spawn(|| Daemon::start(&sim, dir.path())));
        let mut both = both.map(|one| one.join().unwrap()).into_iter();
        (both.next().unwrap(), both.next().unwrap())
    });
    let mut front = old.connect();
    let (hash, bolt11) = front.new_invoice();
    let preimage = sim.pay(&bolt11).unwrap();
    // A third one takes the socket over; who is connected stays served.
    let third = Daemon::start(&sim, dir.path());
    let mut newest = third.connect();
    assert_eq!(newest.keys, front.keys);
    for n in 0..100 {
        front.ask(n, hash, Proof::Preimage(preimage.into()));
        newest.ask(1000 + n, hash, Proof::Preimage(preimage.into()));
    }
    let mut granted = 0;
    for _ in 0..100 {
        for front in [&mut front, &mut newest] {
            let answer = front.read().unwrap();
            assert!(is_granted(&answer) || is_used_up(&answer), "{answer:?}");
            granted += u32::from(is_granted(&answer));
        }
    }
    assert_eq!(granted, 1);
    drop((old, new));
    // The end of others does not take the socket away.
    assert_eq!(Front::connect(&third.socket).keys, front.keys);
}

#[test]
fn who_waits_is_answered_by_the_push() {
    let (sim, dir) = setup();
    let daemon = Daemon::start(&sim, dir.path());
    sim.wait_for_calls(Method::SubscribeInvoices, 1).unwrap();
    let mut front = daemon.connect();
    let (hash, bolt11) = front.new_invoice();
    sim.fault(Trouble::hang().at(Method::LookupInvoice));
    front.ask(1, hash, Proof::LookUp(None));
    sim.wait_for_calls(Method::LookupInvoice, 1).unwrap();
    sim.pay(&bolt11).unwrap();
    assert!(is_granted(&front.read().unwrap()));
}

#[test]
fn a_client_that_left_keeps_its_payment() {
    let (sim, dir) = setup();
    let daemon = Daemon::start(&sim, dir.path());
    let mut front = daemon.connect();
    let (hash, bolt11) = front.new_invoice();
    let preimage = sim.pay(&bolt11).unwrap();
    let id = front.ask(1, hash, Proof::Preimage(preimage.into()));
    assert!(is_granted(&front.read().unwrap()));
    front.send(&ToAgent::Cancel { id });
    // The release is under way in the background: some later request gets the unit, and only one.
    let granted: Vec<_> =
        (2..).map(|n| is_granted(&front.prove(n, hash, preimage))).take_while(|g| !g).collect();
    assert!(granted.len() < 1000);
    assert!(is_used_up(&front.prove(100_000, hash, preimage)));
}

#[test]
fn a_node_in_trouble_is_a_failure_and_one_line_of_the_log() {
    let (sim, dir) = setup();
    sim.fault(Trouble::new(FaultKind::RefuseConnections));
    let daemon = Daemon::start(&sim, dir.path());
    let mut front = daemon.connect();
    for _ in 0..3 {
        let failed = front.invoice(10_000);
        assert!(matches!(failed, FromAgent::Failed { fault: Fault::Unavailable { .. }, .. }), "{failed:?}");
    }
    sim.clear_faults();
    // Until the back-off is over.
    while !matches!(front.invoice(10_000), FromAgent::Invoice { .. }) {}
    sim.fault(Trouble::refuse(2, "permission denied").at(Method::AddInvoice));
    let refused = front.invoice(10_000);
    let FromAgent::Failed { fault: Fault::Refused, reason, .. } = refused else { panic!("{refused:?}") };
    assert!(reason.contains("invoices:write"), "{reason}");
    let (_, log) = daemon.stop("INT");
    assert_eq!(log.matches("the backend is down").count(), 1, "{log}");
    assert_eq!(log.matches("the backend answers again").count(), 1, "{log}");
    assert_eq!(log.matches("the backend does not do what it is asked").count(), 1, "{log}");
}

#[test]
fn what_it_makes_is_private() {
    let (sim, dir) = setup();
    let state = dir.path().join("state");
    let daemon = Daemon::start(&sim, &state);
    assert_eq!(fs::metadata(&state).unwrap().mode() & 0o777, 0o700);
    let mut names = Vec::new();
    for file in fs::read_dir(&state).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{file:?}");
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    let own = format!("l402d.sock.{}", daemon.pid());
    let socket = ["l402d.sock", own.as_str(), "l402d.sock.generation"];
    let databases = ["issued.db", "issued.db-shm", "issued.db-wal", "l402.db", "l402.db-shm", "l402.db-wal"];
    assert_eq!(names, [&databases[..], &socket[..], &["root.key"]].concat());
    drop(daemon);
}

#[test]
fn what_is_misconfigured_is_named_and_starts_nothing() {
    let (sim, dir) = setup();
    let run = |change: Change<'_>| {
        let mut command = command(&sim, &dir.path().join("state"));
        change(&mut command);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for check in [false, true] {
        let cases: [(&str, Change<'_>); 5] = [
            ("LND_ADDRESS", &|c| c.env_remove("LND_ADDRESS")),
            ("LN_CLIENT_TYPE", &|c| c.env_remove("LN_CLIENT_TYPE")),
            ("ROOT_KEY", &|c| c.env("ROOT_KEY", "short")),
            ("CERT_FILE_PATH", &|c| c.env("CERT_FILE_PATH", "/nowhere")),
            ("--listen", &|c| c.args(["--listen", "127.0.0.1:80"])),
        ];
        for (name, change) in cases {
            let (code, text) = run(&|command| {
                change(command);
                if check { command.arg("--check") } else { command }
            });
            assert_eq!(code, Some(1), "{text}");
            assert!(text.starts_with(&format!("l402d: {name} ")), "{text}");
            assert!(!text.contains("short"), "{text}");
        }
    }
    assert!(!dir.path().join("state").exists());
    let (code, text) = run(&|command| command.arg("--check"));
    assert_eq!((code, text.as_str()), (Some(0), ""));
    assert!(!dir.path().join("state").exists(), "a check changes nothing");
    let (code, text) = run(&|command| command.args(["--state-dir", "/proc/nowhere"]));
    assert_eq!(code, Some(2), "{text}");
    let (code, text) = run(&|command| command.arg("--coprocess").env("X", "1"));
    assert_eq!(code, Some(2), "{text}");
}

type Change<'a> = &'a dyn for<'c> Fn(&'c mut Command) -> &'c mut Command;

/// Not a test by itself: the client of the next one, under another user.
#[test]
fn child_that_connects() {
    let Some(socket) = std::env::var_os("L402D_TEST_SOCKET") else { return };
    Front::connect(Path::new(&socket));
}

#[test]
fn another_user_is_turned_away() {
    let (sim, dir) = setup();
    // Only root can be someone else.
    if dir.path().metadata().unwrap().uid() != 0 {
        return;
    }
    let [user, group, stranger] = [61_001, 61_002, 61_003];
    let base = dir.path();
    fs::set_permissions(base, fs::Permissions::from_mode(0o755)).unwrap();
    let state = base.join("state");
    fs::create_dir(&state).unwrap();
    chown(&state, Some(user), Some(group)).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o711)).unwrap();
    // Where others can read them, as these directories may be root's only.
    let copy = |from: &Path, name: &str| {
        fs::copy(from, base.join(name)).unwrap();
        chown(base.join(name), Some(user), Some(group)).unwrap();
        fs::set_permissions(base.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        base.join(name)
    };
    let client = copy(&std::env::current_exe().unwrap(), "client");
    let mut command = Command::new(copy(Path::new(env!("CARGO_BIN_EXE_l402d")), "l402d"));
    command
        .env_clear()
        .env("LN_CLIENT_TYPE", "LND")
        .env("LND_ADDRESS", sim.lnd_address())
        .env("MACAROON_FILE_PATH", copy(&sim.macaroon_path(Permit::Invoice), "macaroon"))
        .env("CERT_FILE_PATH", copy(&sim.tls_cert_path(), "cert"))
        .args(["--state-dir".as_ref(), state.as_os_str()])
        .args(["--group", &group.to_string()])
        .uid(user)
        .gid(group);
    let daemon = Daemon::start_with(command, &state);
    let connects = |uid, gid| {
        let mut command = Command::new(&client);
        command.args(["--exact", "standalone::child_that_connects"]).env("L402D_TEST_SOCKET", &daemon.socket);
        command.current_dir("/").uid(uid).gid(gid).output().unwrap().status.success()
    };
    assert!(connects(0, 0) && connects(user, stranger) && connects(stranger, group));
    assert!(!connects(stranger, stranger), "the system keeps it out");
    assert!(!daemon.stderr().contains("is refused"));
    fs::set_permissions(&daemon.socket, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(!connects(stranger, stranger), "and so does l402d");
    let (_, log) = daemon.stop("TERM");
    assert!(log.contains("a connection of another user is refused"), "{log}");
}
