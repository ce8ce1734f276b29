//! Other users of the same machine: they read nothing, and can't speak to l402d.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use agent_api::{FromAgent, PROTOCOL, ToAgent};

use crate::harness::process;
use crate::harness::scenario::Scenario;
use crate::harness::stage::Stage;
use crate::harness::wait::{self, SOON};

pub const ALL: &[Scenario] = &[
    Scenario::on_simulator("privilege::another_user", another_user),
    Scenario::on_simulator("privilege::memory_of_the_agent", memory_of_the_agent),
    Scenario::on_simulator("privilege::open_root_key", open_root_key),
    Scenario::on_simulator("privilege::exchanged_state_dir", exchanged_state_dir),
    Scenario::on_simulator("privilege::state_dir_under_links", state_dir_under_links),
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

/// Other programs of the workers' user, such as PHP, can't look into l402d's memory, which holds its keys.
fn memory_of_the_agent(stage: &Stage) {
    if !process::is_root() {
        return;
    }
    let nginx = stage.paid_site("");
    nginx.get("/paid/a").challenge();
    let agent = nginx.agent(None);
    let (user, _) = process::nobody();
    as_user(user, || {
        for name in ["mem", "environ", "maps"] {
            let denied = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
            assert!(File::open(format!("/proc/{agent}/{name}")).is_err_and(denied), "{name} can be read");
        }
    });
    // Of another program of this user it can be, or the test would prove nothing.
    let mut other = Command::new("sleep").arg("60").uid(user).gid(user).spawn().expect("a program");
    let path = format!("/proc/{}/environ", other.id());
    let readable = wait::within(SOON, || as_user(user, || File::open(&path)).ok()).is_some();
    other.kill().expect("ours");
    other.wait().expect("ours");
    assert!(readable);
}

/// Where others may exchange the state directory, root makes and hands over nothing, and nginx says why.
fn exchanged_state_dir(stage: &Stage) {
    if !process::is_root() {
        return;
    }
    let (user, group) = process::nobody();
    stage.tolerate("the state directory");
    let victim = stage.dir().join("victim");
    fs::create_dir(&victim).expect("a directory");
    let above = stage.dir().join("above");
    fs::create_dir(&above).expect("a directory");
    let state = above.join("state");
    let site = || stage.site().state_in(&state).paid("");
    let set = |owner: u32, mode: u32| {
        std::os::unix::fs::chown(&above, Some(owner), Some(group)).expect("root may");
        fs::set_permissions(&above, fs::Permissions::from_mode(mode)).expect("root may");
    };
    let refused = |why: &str| {
        for command in [site().check(), site().try_start()] {
            let said = String::from_utf8_lossy(&command.stderr).into_owned();
            assert!(!command.status.success() && said.contains("[emerg]"), "{said}");
            assert!(said.contains("state directory") && said.contains(why), "{said}");
        }
    };
    // Somebody else's link, in a directory of theirs and in one where everybody may make one.
    for (owner, mode) in [(user, 0o755), (0, 0o777), (0, 0o1777)] {
        set(owner, mode);
        std::os::unix::fs::symlink(&victim, &state).expect("a link");
        std::os::unix::fs::lchown(&state, Some(user), Some(group)).expect("root may");
        refused(if mode == 0o1777 {
            "a symbolic link of another user"
        } else {
            "can be changed by other users"
        });
        fs::remove_file(&state).expect("the link");
        let found = fs::metadata(&victim).expect("still there");
        assert_eq!((found.uid(), found.mode() & 0o777), (0, 0o755), "it was handed over");
    }
    // Nor is one made where others could put another in its place.
    for (owner, mode) in [(user, 0o755), (0, 0o777), (0, 0o775)] {
        set(owner, mode);
        refused("can be changed by other users");
        assert!(!state.exists());
    }
    // A directory of another user, and one that everybody may write to.
    set(0, 0o755);
    fs::create_dir(&state).expect("a directory");
    std::os::unix::fs::chown(&state, Some(STRANGER), Some(STRANGER)).expect("root may");
    refused("it must belong to user");
    std::os::unix::fs::chown(&state, Some(user), Some(group)).expect("root may");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).expect("root may");
    refused("others may write to it");
    fs::remove_dir(&state).expect("empty");
    // In /tmp, which is root's and sticky, nobody can exchange what is root's.
    set(0, 0o1777);
    let nginx = site().start();
    nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
}

/// Links that root made lead on, also relative ones; what is missing is made behind them.
fn state_dir_under_links(stage: &Stage) {
    let (real, link) = (stage.dir().join("disk"), stage.dir().join("var"));
    fs::create_dir(&real).expect("a directory");
    for target in [real.as_path(), Path::new("disk"), Path::new("./disk")] {
        std::os::unix::fs::symlink(target, &link).expect("a link");
        let nginx = stage.site().state_in(&link.join("lib/l402")).paid("").start();
        nginx.get_paid("/paid/a", &nginx.buy("/paid/a")).expect(200);
        drop(nginx);
        assert!(real.join("lib/l402/root.key").exists());
        fs::remove_dir_all(real.join("lib")).expect("what nginx made");
        fs::remove_file(&link).expect("the link");
    }
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
