//! The real program, configured by `l402d.toml` and started as systemd starts it.

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::{UnixDatagram, UnixListener},
        },
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use crate::support::{Daemon, Front, is_granted};
use lnsim::{Permit, Sim, SimOptions};

fn setup() -> (Sim, tempfile::TempDir) {
    (Sim::start(SimOptions::default()).unwrap(), tempfile::tempdir().unwrap())
}

/// Writes a configuration for the simulated node; `top` comes before its table.
fn configure(sim: &Sim, dir: &Path, top: &str) -> PathBuf {
    let path = dir.join("l402d.toml");
    fs::copy(sim.tls_cert_path(), dir.join("tls.cert")).unwrap();
    fs::copy(sim.macaroon_path(Permit::Invoice), dir.join("invoice.macaroon")).unwrap();
    let text = format!(
        "state_dir = \"{dir}/state\"\n{top}\n[backend.default]\ntype = \"lnd\"\naddress = \"{}\"\n\
         macaroon = \"invoice.macaroon\" # beside this file\ncert = \"{dir}/tls.cert\"\n",
        sim.lnd_address(),
        dir = dir.display(),
    );
    fs::write(&path, text).unwrap();
    path
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_l402d"));
    command.env_clear().arg("--config").arg(config);
    command
}

fn check(config: &Path) -> Output {
    command(config).arg("--check").output().unwrap()
}

#[test]
fn it_serves_as_its_file_says() {
    let (sim, dir) = setup();
    let socket = dir.path().join("other.sock");
    let own = fs::metadata(dir.path()).unwrap().gid();
    let top = format!(
        "listen = \"unix:{}\"\nlog_file = \"{}/l402d.log\"\nsocket_group = {own}\nsocket_mode = \"0640\"\n\
         allow = [\"nobody\", \"@{own}\"]",
        socket.display(),
        dir.path().display()
    );
    let config = configure(&sim, dir.path(), &top);
    let checked = check(&config);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success() && said.contains("backends default"), "{said}");
    assert!(!dir.path().join("state").exists(), "a check changes nothing");

    let ready = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    ready.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut told = [0; 64];
    let mut hear = || {
        let length = ready.recv(&mut told).unwrap();
        String::from_utf8(told[..length].to_vec()).unwrap()
    };
    let child = command(&config).env("NOTIFY_SOCKET", dir.path().join("notify")).spawn().unwrap();
    assert_eq!(hear(), "READY=1");
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o640);
    let mut front = Front::connect(&socket);
    let (hash, bolt11) = front.new_invoice();
    let preimage = sim.pay(&bolt11).unwrap();
    assert!(is_granted(&front.prove(1, hash, preimage)));

    let kill = |signal: &str| {
        let kill = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    };
    // As logrotate does it.
    fs::rename(dir.path().join("l402d.log"), dir.path().join("l402d.log.1")).unwrap();
    kill("HUP");
    assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(hear(), "READY=1");
    assert!(fs::read_to_string(dir.path().join("l402d.log")).unwrap().contains("root keys"));
    kill("TERM");
    assert_eq!(hear(), "STOPPING=1");
    let mut child = child;
    assert!(child.wait().unwrap().success());
}

/// The socket is systemd's: it is served, and neither replaced nor removed.
#[test]
fn the_socket_may_come_from_systemd() {
    let (sim, dir) = setup();
    let config = configure(&sim, dir.path(), "");
    let path = dir.path().join("activated.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    // Only the shell can number a descriptor and know its own pid before it becomes l402d.
    let script = r#"exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" --config "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_l402d")]).arg(&config).env_clear();
    let stdin = Stdio::from(OwnedFd::from(listener.try_clone().unwrap()));
    let early = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let daemon = Daemon::start_with(command_with(command, stdin), &dir.path().join("state"));
    assert!(daemon.stderr().contains("activated.sock"), "{}", daemon.stderr());
    drop(early);
    let mut front = Front::connect(&path);
    front.new_invoice();
    assert!(!dir.path().join("state/l402d.sock").exists());
    daemon.stop("TERM");
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);

    // Without systemd's mark descriptor 3 is somebody else's.
    let script = r#"exec 3<&0 0</dev/null; LISTEN_FDS=1 exec "$0" --config "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_l402d")]).arg(&config).env_clear();
    let daemon =
        Daemon::start_with(command_with(command, OwnedFd::from(listener).into()), &dir.path().join("state"));
    daemon.connect().new_invoice();
}

fn command_with(mut command: Command, stdin: Stdio) -> Command {
    command.stdin(stdin);
    command
}

#[test]
fn every_mistake_is_named_at_once_with_its_line() {
    let (sim, dir) = setup();
    let top =
        "colour = \"red\"\nallow = [\"nobody-of-this-name\"]\nlog-filter = \"info\"\nlog_filter = debug";
    let config = configure(&sim, dir.path(), top);
    let output = check(&config);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (start, line) in [
        (format!("{} is not understood: ", config.display()), 5),
        ("colour is not known; expected one of".to_owned(), 2),
        ("log-filter is not known; expected log_filter, or another".to_owned(), 4),
    ] {
        let end = format!(" in {}:{line}", config.display());
        let found =
            said.lines().any(|said| said.starts_with(&format!("l402d: {start}")) && said.ends_with(&end));
        assert!(found, "{start}…{end}: {said}");
    }

    let config = configure(&sim, dir.path(), "allow = [\"nobody-of-this-name\"]");
    let said = String::from_utf8(check(&config).stderr).unwrap();
    let expected =
        "l402d: allow \"nobody-of-this-name\" is no user of this host; expected a name in /etc/passwd";
    assert!(said.starts_with(expected), "{said}");

    fs::write(&config, "log_filter = \"info\"\n").unwrap();
    let said = String::from_utf8(check(&config).stderr).unwrap();
    assert!(said.contains("defines no backend; expected a table [backend.default]"), "{said}");

    let secret = "5ecret of thirty-two letters and more";
    let config = configure(&sim, dir.path(), &format!("root_key = \"{secret}\""));
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let said = String::from_utf8(check(&config).stderr).unwrap();
    assert!(said.contains("root_key is a secret in a file that every user may read"), "{said}");
    assert!(!said.contains(secret), "{said}");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(check(&config).status.success());
    let said = command(&config).arg("--listen").arg("unix:x").arg("--check").output().unwrap().stderr;
    assert!(String::from_utf8(said).unwrap().starts_with("l402d: --listen \"unix:x\" is not valid"));
}
