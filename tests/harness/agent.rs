//! An l402d that runs by itself, as under systemd, for `l402_agent unix:…`.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::{self, Pid, Signal};
use super::stage::Stage;
use super::wait;

/// A running l402d; it is stopped when it is dropped.
pub struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Stage {
    /// Starts l402d for the scenario's node, under the user of nginx's workers, with this state directory.
    pub fn agent(&self, state: &Path) -> Agent {
        let node = self.node();
        let keys = self.dir().join("agent-keys");
        let (macaroon, certificate) = (keys.join("invoice.macaroon"), keys.join("tls.cert"));
        if !keys.exists() {
            fs::create_dir(&keys).expect("a directory");
            fs::copy(node.macaroon("invoice"), &macaroon).expect("a copy");
            fs::copy(node.certificate(), &certificate).expect("a copy");
            fs::create_dir_all(state).expect("a directory");
        }
        fs::set_permissions(state, fs::Permissions::from_mode(0o700)).expect("our own directory");
        let socket = state.join("l402d.sock");
        let mut command = Command::new(self.built("l402d"));
        if process::is_root() {
            let (user, group) = process::nobody();
            for path in [&keys, &macaroon, &certificate, state] {
                chown(path, Some(user), Some(group)).expect("root may");
            }
            command.uid(user).gid(group);
        }
        command.arg("--listen").arg(format!("unix:{}", socket.display())).arg("--state-dir").arg(state);
        command.env_clear().env("LN_CLIENT_TYPE", "LND").env("LND_ADDRESS", node.address().to_string());
        command
            .env("MACAROON_FILE_PATH", macaroon)
            .env("CERT_FILE_PATH", certificate)
            .env("RUST_LOG", "debug");
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(
            File::options().append(true).create(true).open(self.dir().join("agent.log")).expect("a file"),
        );
        let child = command.spawn().expect("l402d can be run");
        let mut agent = Agent { child, socket };
        wait::until("l402d to listen", || {
            let ended = agent.child.try_wait().expect("our child");
            assert!(ended.is_none(), "l402d ended: {ended:?}");
            std::os::unix::net::UnixStream::connect(&agent.socket).ok()
        });
        agent
    }
}

impl Agent {
    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its pid.
    pub fn pid(&self) -> Pid {
        self.child.id()
    }

    /// Sends it a signal and waits for its end.
    pub fn end(&mut self, with: Signal) {
        process::signal(self.pid(), with);
        self.child.wait().expect("our child");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end(Signal::TERM);
        }
    }
}
