//! A site: an nginx configuration in the making, with all its paths inside the scenario's directory.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use super::nginx::Nginx;
use super::process;
use super::stage::{FAULTY, Stage, open_to_all};

/// The price of everything that names no other, in msat.
pub const PRICE_MSAT: u64 = 10_000;

/// The files of every site; each holds `file` and its own name.
const FILES: [&str; 9] = [
    "index.html",
    "page.html",
    "paid/index.html",
    "paid/a",
    "paid/b",
    "paid/open/a",
    "other/a",
    "free/a",
    "internal/a",
];

/// What the file of this name holds.
pub fn content(name: &str) -> String {
    format!("file {name}\n")
}

/// A configuration of nginx that is not running yet.
pub struct Site<'a> {
    pub(super) stage: &'a Stage,
    dir: PathBuf,
    port: u16,
    second_port: u16,
    http: String,
    server: String,
    servers: String,
    env: BTreeMap<String, String>,
    state: PathBuf,
    pub(super) workers: u32,
    master: bool,
    pub(super) daemon: bool,
    module: PathBuf,
}

impl Stage {
    /// A site whose default backend is the scenario's.
    pub fn site(&self) -> Site<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = self.dir().join(format!("site-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&dir).expect("a directory");
        open_to_all(&dir);
        for name in FILES {
            let path = dir.join("html").join(name);
            fs::create_dir_all(path.parent().expect("html")).expect("a directory");
            fs::write(path, content(name)).expect("a file");
        }
        let site = Site {
            stage: self,
            state: dir.join("state"),
            dir,
            port: process::free_port(),
            second_port: process::free_port(),
            http: format!("l402_amount_msat_default {PRICE_MSAT};\n"),
            server: String::new(),
            servers: String::new(),
            env: BTreeMap::new(),
            workers: 4,
            master: true,
            daemon: false,
            module: self.built("ngx_http_l402_module.so"),
        };
        let variables = self.wallet().environment();
        let site = variables.iter().fold(site, |site, (name, value)| site.env(name, value));
        site.env("RUST_LOG", "debug")
    }

    /// A running site that sells `/paid/` with these directives.
    pub fn paid_site(&self, directives: &str) -> Nginx<'_> {
        self.site().paid(directives).start()
    }
}

impl<'a> Site<'a> {
    /// Adds `location /paid/ { l402 on; … }`.
    pub fn paid(self, directives: &str) -> Self {
        self.server(&format!("location /paid/ {{ l402 on; {directives} }}"))
    }

    /// Adds to `http {}`.
    pub fn http(mut self, text: &str) -> Self {
        self.http += &format!("{text}\n");
        self
    }

    /// Starts `http {}` from nothing: no price.
    pub fn without_price(mut self) -> Self {
        self.http.clear();
        self
    }

    /// Adds to the first `server {}`, which is called `localhost`.
    pub fn server(mut self, text: &str) -> Self {
        self.server += &format!("{text}\n");
        self
    }

    /// Adds another `server {}`; `listen` and `root` are written for it.
    pub fn another_server(mut self, text: &str) -> Self {
        let (port, html) = (self.port, self.dir.join("html"));
        self.servers += &format!("server {{ listen 127.0.0.1:{port}; root {}; {text} }}\n", html.display());
        self
    }

    /// Sets a variable of nginx's environment, which is empty otherwise.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes a variable out again.
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// How many workers; 4 if nothing is said.
    pub fn workers(mut self, count: u32) -> Self {
        self.workers = count;
        self
    }

    /// One process that is master and worker.
    pub fn single_process(mut self) -> Self {
        self.master = false;
        self
    }

    /// With the module in which [`Site::fault`] makes callbacks panic.
    pub fn faulty(mut self) -> Self {
        self.module = self.stage.built(FAULTY);
        let file = self.fault().display().to_string();
        self.env("L402_FAULT", &file)
    }

    /// With the module that lies there.
    pub fn module(mut self, path: PathBuf) -> Self {
        self.module = path;
        self
    }

    /// The file whose text is part of the name of the callback that panics; nobody has made it yet.
    pub fn fault(&self) -> PathBuf {
        self.dir.join("fault")
    }

    /// nginx puts itself into the background.
    pub fn daemon(mut self) -> Self {
        self.daemon = true;
        self
    }

    /// Listens on this port, which a site before it had.
    pub fn on_port(mut self, port: u16) -> Self {
        let listen = |port: u16| format!("listen 127.0.0.1:{port};");
        self.servers = self.servers.replace(&listen(self.port), &listen(port));
        self.port = port;
        self
    }

    /// Where it will listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Where it will listen for HTTP/2 if [`Site::with_http2`].
    pub fn second_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.second_port))
    }

    /// Adds a port for HTTP/2 without TLS to the first server.
    pub fn with_http2(self) -> Self {
        let listen = format!("listen {} http2;", self.second_address());
        self.server(&listen)
    }

    /// The site's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Another state directory, to be shared by sites that follow each other.
    pub fn state_in(mut self, dir: &Path) -> Self {
        self.state = dir.to_owned();
        self
    }

    /// The state directory; nobody has made it yet.
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// The text of the configuration.
    pub fn config(&self) -> String {
        let on = |flag| if flag { "on" } else { "off" };
        let user =
            if process::is_root() { format!("user nobody {};", nobodys_group()) } else { String::new() };
        let dir = self.dir.display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|name| format!("{name}_temp_path {dir}/temporary_{name};\n")).concat();
        format!(
            "load_module {module};\n{user}\nworker_processes {workers};\nmaster_process {master};\ndaemon {daemon};\n\
             pid {dir}/nginx.pid;\nerror_log {dir}/error.log info;\nworker_shutdown_timeout 15s;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n{temporary}access_log {dir}/access.log;\nl402_state_dir {state};\n{http}\
             server {{\nlisten 127.0.0.1:{port} backlog=1024;\nserver_name localhost;\nroot {dir}/html;\n{server}}}\n{servers}}}\n",
            module = self.module.display(),
            workers = self.workers,
            master = on(self.master),
            daemon = on(self.daemon),
            state = self.state.display(),
            http = self.http,
            port = self.port,
            server = self.server,
            servers = self.servers,
        )
    }

    /// `nginx` with this configuration and these further arguments, ready to be run.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let path = self.dir.join("nginx.conf");
        fs::write(&path, self.config()).expect("a file");
        let mut command = Command::new(self.stage.nginx());
        command.arg("-p").arg(&self.dir).arg("-c").arg(path).args(["-e", "stderr"]).args(arguments);
        command.env_clear().envs(&self.env).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.current_dir(&self.dir);
        command
    }

    /// What `nginx -t` says.
    pub fn check(&self) -> Output {
        self.command(&["-t"]).output().expect("nginx can be run")
    }

    /// The words of an nginx that refuses to start; one that does start goes on by itself.
    pub fn try_start(self) -> Output {
        self.daemon().command(&[]).output().expect("nginx can be run")
    }

    /// Starts nginx and waits until it accepts connections.
    pub fn start(self) -> Nginx<'a> {
        Nginx::start(self)
    }
}

/// The name of nobody's group: `nogroup` on Debian, `nobody` elsewhere.
fn nobodys_group() -> String {
    let id = process::nobody().1.to_string();
    let groups = fs::read_to_string("/etc/group").expect("/etc/group");
    let row = groups.lines().find(|row| row.split(':').nth(2) == Some(&id)).expect("nobody's group");
    row.split(':').next().unwrap_or_default().to_owned()
}
