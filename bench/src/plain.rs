//! Plain nginx: the same configuration and binary, without the module.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::harness::process::{self, Pid, Signal};
use crate::harness::site::Site;
use crate::harness::stage::Stage;
use crate::harness::wait;

/// A running plain nginx; it is stopped when it is dropped.
pub struct Plain {
    child: Child,
    address: SocketAddr,
}

impl Plain {
    /// Starts it with a site's configuration, less what is ours.
    pub fn start(stage: &Stage, site: &Site<'_>) -> Self {
        let ours = |line: &&str| !line.starts_with("load_module ") && !line.starts_with("l402_");
        let config: Vec<_> = site.config().lines().filter(ours).map(|line| format!("{line}\n")).collect();
        let path = site.dir().join("plain.conf");
        fs::write(&path, config.concat()).expect("a file");
        let log = File::create(site.dir().join("plain-stderr.log")).expect("a file");
        let mut command = Command::new(stage.nginx());
        command.arg("-p").arg(site.dir()).arg("-c").arg(path).args(["-e", "stderr"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("nginx");
        let plain = Self { child, address: site.address() };
        wait::until("plain nginx to accept connections", || TcpStream::connect(plain.address).ok());
        plain
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its one worker.
    pub fn worker(&self) -> Pid {
        let is_worker = |pid: &Pid| process::command_line(*pid).contains("worker process");
        wait::until("a worker", || process::children(self.child.id()).into_iter().find(is_worker))
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        process::signal(self.child.id(), Signal::TERM);
        let _ = self.child.wait();
    }
}
