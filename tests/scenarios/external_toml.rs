//! l402d as systemd runs it: `l402d.toml`, a user of its own, a socket that is handed over. nginx then holds no
//! secret of the wallet.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use data_encoding::{HEXLOWER, HEXUPPER};
use lnsim::{Fault, Method};

use crate::harness::nginx::Nginx;
use crate::harness::process::{self, Pid, Signal};
use crate::harness::remote::Eclair;
use crate::harness::scenario::Scenario;
use crate::harness::stage::{Stage, open_to_all};
use crate::harness::wait;
use crate::harness::wallet::Wallet;

pub const ALL: &[Scenario] = &[
    Scenario::on_nodes("external_toml::nginx_holds_no_secret", nginx_holds_no_secret),
    Scenario::on_simulator("external_toml::a_restart_is_waited_for", a_restart_is_waited_for),
    Scenario::on_simulator("external_toml::only_who_is_allowed", only_who_is_allowed),
    Scenario::on_simulator("external_toml::a_spare_takes_over", a_spare_takes_over),
];

/// l402d's user, where the tests run as root: neither root nor that of nginx's workers.
const USER: u32 = 61_402;

/// An installation: files, and the socket that systemd would hold.
struct Host<'a> {
    stage: &'a Stage,
    dir: PathBuf,
    listener: UnixListener,
}

/// A running l402d; it is stopped when it is dropped.
struct Daemon(Child);

impl<'a> Host<'a> {
    /// Installs l402d for the scenario's node; nginx's workers are allowed by name.
    fn install(stage: &'a Stage, allow: &str) -> Self {
        let dir = stage.dir().join("l402d");
        let (etc, state) = (dir.join("etc"), dir.join("state"));
        for made in [&dir, &etc, &state] {
            fs::create_dir(made).expect("a directory");
        }
        open_to_all(&dir);
        let node = stage.node();
        fs::copy(node.macaroon("invoice"), etc.join("invoice.macaroon")).expect("a copy");
        fs::copy(node.certificate(), etc.join("tls.cert")).expect("a copy");
        let text = format!(
            "state_dir = \"{}\"\nlog_filter = \"debug\"\nallow = [{allow}]\n\n[backend.default]\ntype = \"lnd\"\n\
             address = \"{}\"\nmacaroon = \"invoice.macaroon\"\ncert = \"tls.cert\"\n",
            state.display(),
            node.address()
        );
        fs::write(etc.join("l402d.toml"), text).expect("a file");
        let socket = dir.join("l402d.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o660)).expect("our own");
        if process::is_root() {
            chown(&socket, Some(USER), Some(process::nobody().1)).expect("root may");
            for path in [&etc, &state, &etc.join("invoice.macaroon"), &etc.join("l402d.toml")] {
                chown(path, Some(USER), Some(USER)).expect("root may");
                let mode = if path.is_dir() { 0o700 } else { 0o600 };
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root may");
            }
        }
        Self { stage, dir, listener }
    }

    /// Starts l402d with the socket as descriptor 3, as systemd does.
    fn start(&self) -> Daemon {
        let script = r#"exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" --config "$1""#;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).arg(self.stage.built("l402d")).arg(self.dir.join("etc/l402d.toml"));
        let log = File::options().append(true).create(true).open(self.stage.dir().join("agent.log"));
        let socket = OwnedFd::from(self.listener.try_clone().expect("a descriptor"));
        command.env_clear().current_dir("/").stdin(socket).stdout(Stdio::null()).stderr(log.expect("a file"));
        if process::is_root() {
            command.uid(USER).gid(USER);
        }
        let mut child = command.spawn().expect("a shell");
        wait::until("l402d to listen", || {
            let ended = child.try_wait().expect("our child");
            assert!(ended.is_none(), "l402d ended: {ended:?}");
            process::command_line(child.id()).contains("--config").then_some(())
        });
        Daemon(child)
    }

    /// An nginx that is told the socket and nothing else.
    fn nginx(&self, directives: &str) -> Nginx<'a> {
        let mut site = self.stage.site();
        for name in ["LN_CLIENT_TYPE", "LND_ADDRESS", "MACAROON_FILE_PATH", "CERT_FILE_PATH"] {
            site = site.without_env(name);
        }
        let line = format!("l402_agent unix:{}/l402d.sock;", self.dir.display());
        site.http(&line).paid(directives).start()
    }
}

impl Daemon {
    fn pid(&self) -> Pid {
        self.0.id()
    }

    fn end(&mut self, with: Signal) {
        process::signal(self.pid(), with);
        self.0.wait().expect("our child");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.end(Signal::TERM);
        }
    }
}

/// Everything of a process's memory that can be read and written: its data, heap and stacks.
fn memory(pid: Pid) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("its maps");
    let mut memory = File::open(format!("/proc/{pid}/mem")).expect("we may read its memory");
    let mut all = Vec::new();
    for map in maps.lines() {
        let mut fields = map.split_whitespace();
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else { continue };
        let Some((from, to)) = range.split_once('-').filter(|_| rights.starts_with("rw")) else { continue };
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).expect("an address"));
        memory.seek(SeekFrom::Start(from)).expect("an offset");
        // A guard page can't be read.
        let _ = Read::by_ref(&mut memory).take(to - from).read_to_end(&mut all);
    }
    all
}

/// Whether a process's memory or environment holds the secret: in binary, or in hex of either case.
fn holds(pid: Pid, secret: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("its environment");
    let memory = memory(pid);
    assert!(memory.len() > 100_000, "{pid} has some memory");
    let forms = [secret.to_vec(), HEXLOWER.encode(secret).into_bytes(), HEXUPPER.encode(secret).into_bytes()];
    let holds = |text: &[u8], form: &[u8]| {
        let mut starts = text.iter().enumerate().filter(|(_, byte)| **byte == form[0]);
        starts.any(|(at, _)| text[at..].starts_with(form))
    };
    forms.iter().any(|form| holds(&memory, form) || holds(&environment, form))
}

fn nginx_holds_no_secret(stage: &Stage) {
    let host = Host::install(stage, "\"nobody\"");
    let daemon = host.start();
    let nginx = host.nginx("l402_max_uses 2; location /paid/open/ { l402_indefinite_access on; }");
    let (credential, reusable) = (nginx.buy("/paid/a"), nginx.buy("/paid/open/a"));
    for path in ["/paid/a", "/paid/a"] {
        nginx.get_paid(path, &credential).expect(200);
    }
    nginx.get_paid("/paid/a", &credential).challenge();
    wait::at_once(20, |_| nginx.get_paid("/paid/open/a", &reusable).expect(200));

    let macaroon = fs::read(stage.node().macaroon("invoice")).expect("a macaroon");
    // Its signature: without it the rest is worth nothing.
    let wallet = &macaroon[macaroon.len() - 32..];
    let material = fs::read(host.dir.join("state/root.key")).expect("the root key");
    let workers = nginx.workers();
    for pid in workers.iter().copied().chain([nginx.master()]) {
        assert!(!holds(pid, wallet), "{}", process::command_line(pid));
        assert!(!holds(pid, material.trim_ascii()), "{}", process::command_line(pid));
    }
    assert!(holds(daemon.pid(), wallet), "or the search finds nothing anywhere");
    if process::is_root() {
        assert_eq!(process::user_of(daemon.pid()), Some(USER));
        assert!(workers.iter().all(|pid| process::user_of(*pid) != Some(USER)));
    }
    assert_eq!(stage.agents(), [daemon.pid()], "nginx starts none of its own");
    drop(nginx);

    // The other way round: as a co-process l402d is configured by nginx, which then must know the secret.
    let nginx = stage.paid_site("");
    assert!(holds(nginx.master(), wallet), "what the page on external mode says would be wrong");
}

/// systemd keeps the socket: who asks while l402d restarts waits for the next one.
fn a_restart_is_waited_for(stage: &Stage) {
    let host = Host::install(stage, "\"nobody\"");
    let mut daemon = host.start();
    let nginx = host.nginx("");
    let credential = nginx.buy("/paid/a");
    daemon.end(Signal::KILL);
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8)
            .map(|n| {
                let (nginx, credential) = (&nginx, &credential);
                scope.spawn(move || match n {
                    0 => nginx.get_paid("/paid/a", credential).status,
                    _ => nginx.get("/paid/b").status,
                })
            })
            .collect();
        let _daemon = host.start();
        let answers: Vec<_> = asked.into_iter().map(|thread| thread.join().expect("an answer")).collect();
        assert_eq!(answers, [200, 402, 402, 402, 402, 402, 402, 402]);
    });
}

/// Both wallets are of `l402d.toml`; nginx knows their names only.
fn a_spare_takes_over(stage: &Stage) {
    let host = Host::install(stage, "\"nobody\"");
    let spare = Eclair::start();
    let keys: String = spare.keys().iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
    spare.secrets().iter().for_each(|secret| stage.keep_secret(secret));
    let config = host.dir.join("etc/l402d.toml");
    let text = fs::read_to_string(&config).expect("a file") + "\n[backend.spare]\n" + &keys;
    fs::write(&config, text).expect("a file");
    let _daemon = host.start();
    let nginx = host.nginx("l402_backend default spare; l402_auto_detect_payment on;");

    let early = nginx.get("/paid/a").challenge();
    let code = stage.wallet().refusal();
    stage.sim().fault(Fault::refuse(code, "not now").at(Method::AddInvoice));
    // The first may have sold ahead.
    let (taken_over, preimage) = wait::until("the spare to sell", || {
        let challenge = nginx.get("/paid/a").challenge();
        let preimage = spare.pay(&challenge.invoice).ok()?;
        Some((challenge, preimage))
    });
    stage.keep_secret(&preimage);
    nginx.get_paid("/paid/a", &taken_over.paid_with(&preimage)).expect(200);
    stage.pay(&early);
    wait::until("what the first sold to be seen", || {
        (nginx.get_paid("/paid/a", &early.alone()).status == 200).then_some(())
    });
    stage.sim().clear_faults();
    wait::until("the first to sell again", || {
        let challenge = nginx.get("/paid/a").challenge();
        let preimage = stage.wallet().pay(&challenge.invoice).ok()?;
        stage.keep_secret(&preimage);
        nginx.get_paid("/paid/a", &challenge.paid_with(&preimage)).expect(200);
        Some(())
    });
}

/// The right to the socket's file is not enough.
fn only_who_is_allowed(stage: &Stage) {
    if !process::is_root() {
        // Workers and l402d are one user then, who is always allowed.
        return;
    }
    stage.tolerate("l402d can't be reached");
    let host = Host::install(stage, "");
    let mut daemon = host.start();
    let nginx = host.nginx("");
    let answer = nginx.get("/paid/a").expect(503);
    assert!(answer.header("Retry-After").is_some());
    nginx.get("/free/a").expect(200);
    let log = fs::read_to_string(stage.dir().join("agent.log")).expect("its log");
    assert!(log.contains("is refused; name the user of nginx's workers in `allow`"), "{log}");

    daemon.end(Signal::TERM);
    let config = host.dir.join("etc/l402d.toml");
    let text = fs::read_to_string(&config).expect("a file").replace("allow = []", "allow = [\"nobody\"]");
    fs::write(&config, text).expect("a file");
    let _daemon = host.start();
    wait::until("a challenge", || (nginx.get("/paid/a").status == 402).then_some(()));
}
