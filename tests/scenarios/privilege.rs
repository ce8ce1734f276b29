//! Other users of the same machine: they read nothing, and can't speak to l402d.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use agent_api::{FromAgent, PROTOCOL, ToAgent};

use crate::harness::process;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait::SOON;

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("privilege::another_user", another_user),
    Scenario::on_simulator("privilege::open_root_key", open_root_key),
];

/// A user that is neither root nor that of the workers.
const STRANGER: u32 = 61_499;

/// Does `act` as another user, without groups: on a thread of its own, so that nothing else changes its user. Needs root.
fn as_user<T: Send>(user: u32, act: impl FnOnce() -> T + Send) -> T {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    std::thread::scope(|scope| {
        let acting = scope.spawn(move || {
            let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
            set_thread_groups(&[]).expect("root may");
            set_thread_res_gid(gid, gid, gid).expect("root may");
            set_thread_res_uid(uid, uid, uid).expect("root may");
            act()
        });
        acting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Says hello as a front end does; what l402d answers, if anything.
fn hello(socket: &Path) -> io::Result<Option<FromAgent>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(SOON))?;
    let mut said = Vec::new();
    ToAgent::Hello { protocol: PROTOCOL, pid: std::process::id() }.encode(&mut said);
    // Who is not wanted may find the connection closed already.
    let _ = stream.write_all(&said);
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Ok(Some((frame, _))) = FromAgent::decode(&heard) {
            return Ok(Some(frame));
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
            Ok(length) => heard.extend(&buffer[..length]),
        }
    }
}

fn another_user(stage: &Stage) {
    if !process::is_root() {
        // Only root can become somebody else.
        return;
    }
    let site = stage.site().paid("");
    let state = site.state_dir().to_owned();
    let nginx = site.start();
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
    stage.wait_for_connections(1);
    let socket = state.join("l402d.sock");

    let denied = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    as_user(STRANGER, || {
        assert!(fs::read_dir(&state).is_err_and(denied));
        for name in ["root.key", "l402.db", "l402.db-wal", "l402d.log"] {
            assert!(File::open(state.join(name)).is_err_and(denied), "{name} can be read");
        }
        assert!(hello(&socket).is_err_and(denied));
    });

    // Even where somebody has opened the doors: l402d asks the kernel who is there.
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).expect("root may");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).expect("root may");
    let stranger = as_user(STRANGER, || hello(&socket)).expect("a connection");
    assert!(stranger.is_none(), "l402d speaks to a stranger");
    let worker = as_user(process::nobody().0, || hello(&socket)).expect("a connection");
    assert!(matches!(worker, Some(FromAgent::Welcome { .. })), "or nobody is ever welcome");
    let log = fs::read_to_string(state.join("l402d.log")).expect("its log");
    assert!(log.contains("another user is refused"), "{log}");
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
}

/// The key that signs every token lies open in the state directory: nothing is sold with it.
fn open_root_key(stage: &Stage) {
    let site = stage.site().http("l402_agent_timeout 2s;").paid("");
    let state = site.state_dir().to_owned();
    let key = state.join("root.key");
    fs::create_dir(&state).expect("a directory");
    fs::write(&key, "5a".repeat(32)).expect("a file");
    for (path, mode) in [(&state, 0o700), (&key, 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
        if process::is_root() {
            let (user, group) = process::nobody();
            std::os::unix::fs::chown(path, Some(user), Some(group)).expect("root may");
        }
    }
    let nginx = site.start();
    let answer = nginx.get("/paid/a").expect(503);
    assert!(answer.header("Retry-After").is_some());
    let told = |(_, log): &(String, String)| log.contains("root.key can be read by other users");
    assert!(stage.logs().iter().any(told), "no log says what is wrong");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("our own");
    crate::harness::wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
}
