//! A running nginx: requests to it, its processes, its logs, its end.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

use super::http::{Connection, Request, Response};
use super::process::{self, Pid, Signal};
use super::site::Site;
use super::wait;

/// A running nginx; it is stopped when it is dropped.
pub struct Nginx<'a> {
    site: Site<'a>,
    child: Child,
    master: Pid,
    ended: bool,
}

impl<'a> Nginx<'a> {
    pub(super) fn start(site: Site<'a>) -> Self {
        let (child, master) = launch(&site);
        Self { site, child, master, ended: false }
    }

    /// Stops it, unless it was ended, and starts it again, with the same configuration and state.
    pub fn restart(&mut self) {
        if !self.ended {
            self.end(Signal::QUIT);
        }
        (self.child, self.master) = launch(&self.site);
        self.ended = false;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.site.address()
    }

    /// Where it listens for HTTP/2.
    pub fn second_address(&self) -> SocketAddr {
        self.site.second_address()
    }

    /// Sends a request over a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        request.send(self.address())
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    /// GET with a credential.
    #[track_caller]
    pub fn get_paid(&self, target: &str, credential: &str) -> Response {
        self.send(&Request::get(target).paid(credential))
    }

    /// Asks for a challenge, pays it, and returns the credential.
    #[track_caller]
    pub fn buy(&self, target: &str) -> String {
        let challenge = self.get(target).challenge();
        self.site.stage.buy(&challenge)
    }

    /// A connection to be used at will.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address()).expect("nginx accepts")
    }

    /// The site's directory.
    pub fn dir(&self) -> &Path {
        self.site.dir()
    }

    /// Pid of the master, or of the single process.
    pub fn master(&self) -> Pid {
        self.master
    }

    /// Waits until all workers are there; their pids.
    pub fn workers(&self) -> Vec<Pid> {
        let all = self.site.workers as usize;
        wait::until("all workers", || Some(self.workers_now()).filter(|now| now.len() == all))
    }

    fn workers_now(&self) -> Vec<Pid> {
        let is_worker = |pid: &Pid| process::command_line(*pid).contains("worker process");
        process::children(self.master).into_iter().filter(is_worker).collect()
    }

    /// Waits until there is exactly one co-process, and it is not `other_than`; its pid.
    pub fn agent(&self, other_than: Option<Pid>) -> Pid {
        wait::until("one l402d", || match self.site.stage.agents()[..] {
            [agent] if Some(agent) != other_than => Some(agent),
            _ => None,
        })
    }

    /// The log of errors so far.
    pub fn error_log(&self) -> String {
        read_log(&self.site.dir().join("error.log"))
    }

    /// The log of requests so far.
    pub fn access_log(&self) -> String {
        read_log(&self.site.dir().join("access.log"))
    }

    /// Waits for a line of the error log with this text in it, after the first `from` bytes.
    pub fn wait_for_error(&self, text: &str, from: usize) -> String {
        wait::until(&format!("{text:?} in the error log"), || {
            let log = self.error_log();
            log.get(from..)?.lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// Reloads the configuration; returns when the new workers have replaced the old ones.
    pub fn reload(&self) {
        let old = self.workers();
        process::signal(self.master, Signal::HUP);
        wait::until("new workers instead of the old ones", || {
            let now = self.workers_now();
            (now.len() == old.len() && now.iter().all(|pid| !old.contains(pid))).then_some(())
        });
    }

    /// After SIGUSR2: ends the old binary and goes on with the new one.
    pub fn follow_upgrade(&mut self) {
        let path = self.site.dir().join("nginx.pid");
        let old = self.master;
        let new = wait::until("the new binary's pid file", || {
            let pid = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
            (pid != old).then_some(pid)
        });
        self.end(Signal::QUIT);
        self.master = new;
        self.ended = false;
    }

    /// Ends it with this signal and waits for its end.
    pub fn end(&mut self, with: Signal) {
        process::signal(self.master, with);
        self.wait();
    }

    fn wait(&mut self) {
        wait::until("nginx to end", || {
            let _ = self.child.try_wait();
            (!process::alive(self.master)).then_some(())
        });
        self.ended = true;
    }
}

impl Drop for Nginx<'_> {
    fn drop(&mut self) {
        if self.ended {
            return; // its pid may be somebody else's by now
        }
        let orphans = self.workers_now();
        process::signal(self.master, Signal::TERM);
        let ended = wait::within(wait::SOON, || {
            let _ = self.child.try_wait();
            (!process::alive(self.master)).then_some(())
        });
        if ended.is_none() {
            for pid in orphans.into_iter().chain([self.master]) {
                process::signal(pid, Signal::KILL);
            }
            let _ = self.child.wait();
            assert!(std::thread::panicking(), "nginx did not end on SIGTERM");
        }
    }
}

fn launch(site: &Site<'_>) -> (Child, Pid) {
    let said = site.dir().join("stderr.log");
    let log = File::options().create(true).append(true).open(&said).expect("a file");
    let mut command = site.command(&[]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("nginx");
    if site.daemon {
        child.wait().expect("our child");
    }
    wait::until("nginx to accept connections", || {
        let ended = if site.daemon { None } else { child.try_wait().expect("our child") };
        if let Some(status) = ended {
            panic!("nginx ended with {status}: {}\n{}", read_log(&said), site.config());
        }
        TcpStream::connect(site.address()).ok()
    });
    let master = if site.daemon {
        let path = site.dir().join("nginx.pid");
        wait::until("the pid file", || fs::read_to_string(&path).ok()?.trim().parse().ok())
    } else {
        child.id()
    };
    (child, master)
}

fn read_log(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
