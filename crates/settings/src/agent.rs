//! All that l402d needs to know, and the text in which nginx hands it to the co-process.
use crate::ecash::{self, EcashSettings};
use crate::source::{Found, Layers};
use crate::{
    ALLOW, BackendKind, BackendSettings, Complaint, ConfigFile, DEFAULT_BACKEND, DEFAULT_LOG_FILTER,
    DEFAULT_STATE_DIR, Env, LISTEN, LN_CLIENT_TYPE, LOG_FILE, LOG_FILTER, ROOT_KEY, Read, RedisSettings,
    RootKeys, SOCKET_GROUP, SOCKET_MODE, STATE_DIR, Secret, Setting, backend, files, pairs, pairs::Taken,
    redis, root_key, rules, value,
};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::{ffi::OsString, path::PathBuf};
use zeroize::Zeroizing;

/// The key of the socket's path in the pairs; there it is never to be chosen.
const SOCKET: &str = "socket";

/// l402d's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// Where the database, the root key, the socket and the log are.
    pub state_dir: PathBuf,
    /// The socket to listen on.
    pub socket: PathBuf,
    /// Who may connect; not handed to a co-process, which is its own nginx's only.
    pub access: Access,
    /// The file to append the log to; `None`: standard error.
    pub log_file: Option<PathBuf>,
    /// Which lines to log (`RUST_LOG`).
    pub log: String,
    /// The backends, each name once.
    pub backends: Vec<BackendSettings>,
    /// Where several hosts keep what was claimed; `None`: it is kept in the state directory.
    pub redis: Option<RedisSettings>,
    /// The root keys; none: l402d's own, from its state directory. A co-process is not told their file.
    pub root_keys: RootKeys,
    /// How ecash is taken; `None`: not at all.
    pub ecash: Option<EcashSettings>,
}

/// Who may connect to l402d besides root and its own user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The socket's group.
    pub group: Option<value::Account>,
    /// The socket's permission bits, where they are not what follows from the group.
    pub mode: Option<u32>,
    /// Users and groups.
    pub allow: Vec<value::Peer>,
}

/// What is said on a command line or in nginx's configuration, where it wins over the environment.
///
/// A text comes with the name that the operator wrote it under: `("--state-dir", "/srv/l402")`.
#[derive(Debug, Default)]
pub struct Flags<'a> {
    /// `l402_state_dir` or `--state-dir`.
    pub state_dir: Option<(&'a str, &'a str)>,
    /// `--listen unix:/path`; without it the socket lies in the state directory.
    pub listen: Option<(&'a str, &'a str)>,
    /// Log to `l402d.log` in the state directory unless `L402_LOG` says otherwise (the co-process).
    pub log_in_state_dir: bool,
    /// The backends of `l402_backend` blocks.
    pub backends: Vec<BackendSettings>,
}

impl AgentConfig {
    /// The configuration from the environment and `flags`. `read` reads the nodes' files;
    /// `read_private` reads the root keys' and should refuse one that other users can read.
    ///
    /// # Errors
    /// All that is wrong with any of it.
    pub fn from_env(
        env: Env<'_>,
        read: Read<'_>,
        read_private: Read<'_>,
        flags: Flags<'_>,
    ) -> Result<Self, Vec<Complaint>> {
        Self::from_layers(Layers { env, file: None }, read, read_private, flags)
    }

    /// As [`AgentConfig::from_env`], with `l402d.toml` beneath: what flags or the environment say wins
    /// over the file, setting by setting. `ROOT_KEY` and `ROOT_KEY_FILE` are one setting in this.
    ///
    /// # Errors
    /// All that is wrong with any of it.
    pub fn from_file(
        file: &ConfigFile,
        env: Env<'_>,
        read: Read<'_>,
        read_private: Read<'_>,
        flags: Flags<'_>,
    ) -> Result<Self, Vec<Complaint>> {
        Self::from_layers(Layers { env, file: Some(file) }, read, read_private, flags)
    }

    fn from_layers(
        layers: Layers<'_>,
        read: Read<'_>,
        read_private: Read<'_>,
        flags: Flags<'_>,
    ) -> Result<Self, Vec<Complaint>> {
        let kind = layers.in_env(&LN_CLIENT_TYPE).and_then(|found| BackendKind::of(&found.text));
        let mut complaints: Vec<Complaint> =
            layers.file.map(|file| file.unknown(kind)).into_iter().flatten().collect();
        let mut keep = |complaint| complaints.push(complaint);
        let state_dir = state_dir(layers, flags.state_dir).map_err(&mut keep);
        let socket = socket(layers, flags.listen).map_err(&mut keep);
        let log_file = optional(layers, &LOG_FILE, |text| {
            value::absolute_path(text.as_bytes(), usize::MAX).map(PathBuf::from)
        });
        let log_file = log_file.map_err(&mut keep);
        let log = optional(layers, &LOG_FILTER, |filter| {
            (!filter.chars().any(char::is_control)).then(|| filter.to_owned())
        });
        let log = log.map_err(&mut keep);
        let root_keys = root_key::of_layers(layers, read_private).map_err(&mut keep);
        let redis = redis::of_layers(layers, read, root_keys.as_ref().ok()).unwrap_or_else(|more| {
            more.into_iter().for_each(&mut keep);
            None
        });
        let access = access(layers.file, &mut keep);
        let ecash = ecash::of_layers(layers, read_private, &mut keep);
        let mut backends = backends(layers, read, &mut keep);
        backends.extend(flags.backends);
        complaints.extend(rules::names_are_unique(&backends));
        match (state_dir, socket, log_file, log, root_keys) {
            (Ok(state_dir), Ok(socket), Ok(log_file), Ok(log), Ok(root_keys)) if complaints.is_empty() => {
                let in_state_dir = flags.log_in_state_dir.then(|| state_dir.join("l402d.log"));
                Ok(Self {
                    socket: socket.unwrap_or_else(|| state_dir.join("l402d.sock")),
                    access,
                    log_file: log_file.or(in_state_dir),
                    state_dir,
                    log: log.unwrap_or_else(|| DEFAULT_LOG_FILTER.to_owned()),
                    backends,
                    redis,
                    root_keys,
                    ecash,
                })
            }
            _ => Err(complaints),
        }
    }

    /// The text for the configuration pipe. It holds secrets, and is wiped when dropped.
    pub fn to_pairs(&self) -> Zeroizing<Vec<u8>> {
        let mut text = pairs::Writer::with_capacity(8 * 1024);
        text.pair(STATE_DIR.key, self.state_dir.as_os_str().as_bytes());
        text.pair(SOCKET, self.socket.as_os_str().as_bytes());
        if let Some(path) = &self.log_file {
            text.pair(LOG_FILE.key, path.as_os_str().as_bytes());
        }
        text.pair(LOG_FILTER.key, self.log.as_bytes());
        for key in &self.root_keys.keys {
            text.pair(ROOT_KEY.key, Zeroizing::new(files::to_hex(key.expose())).as_bytes());
        }
        if let Some(redis) = &self.redis {
            redis.write(&mut text);
        }
        for backend in &self.backends {
            let name = &backend.name;
            backend.write(&mut |setting, value| text.pair(&format!("backend.{name}.{}", setting.key), value));
        }
        if let Some(ecash) = &self.ecash {
            ecash.write(|setting, value| text.pair(setting.key, value));
        }
        text.finish()
    }

    /// Reads what [`AgentConfig::to_pairs`] wrote.
    ///
    /// # Errors
    /// Text that is cut short, or that the module of another release wrote: unknown, missing, repeated
    /// or unreadable pairs. No value is repeated, as any could be secret.
    pub fn from_pairs(text: &[u8]) -> Result<Self, Vec<Complaint>> {
        let expected = "the configuration that the nginx module of this release writes";
        let list = pairs::parse(text)
            .ok_or_else(|| vec![Complaint::new("the configuration pipe", "was cut short", expected)])?;
        let mut taken = Taken::default();
        let (mut names, mut root_keys): (Vec<&str>, _) = (Vec::new(), RootKeys::default());
        for (key, value) in list {
            if key == ROOT_KEY.key {
                match files::from_hex(value) {
                    Some(material) => root_keys.keys.push(Secret::new(material)),
                    None => taken.complaints.push(pairs::not_valid(key)),
                }
                continue;
            }
            if let Some((name, LN_CLIENT_TYPE_KEY)) = backend_key(key) {
                names.push(name);
            }
            if taken.pairs.insert(key.to_owned(), value).is_some() {
                taken.complaints.push(Complaint::new(key, "is written twice", expected));
            }
        }
        let path =
            |value: &[u8]| (!value.is_empty()).then(|| PathBuf::from(OsString::from_vec(value.to_vec())));
        let state_dir = taken.required(STATE_DIR.key, path);
        let socket = taken.required(SOCKET, path);
        let log_file = taken.optional(LOG_FILE.key, path);
        let log = taken.required(LOG_FILTER.key, value::utf8);
        let redis = RedisSettings::read(&mut taken);
        let backends =
            names.into_iter().filter_map(|name| BackendSettings::read(name, &mut taken.of_backend(name)));
        let backends: Vec<_> = backends.collect();
        let ecash = EcashSettings::read(&mut taken);
        for key in taken.pairs.keys() {
            taken.complaints.push(Complaint::new(key, "is not known", expected));
        }
        match (state_dir, socket, log) {
            (Some(state_dir), Some(socket), Some(log)) if taken.complaints.is_empty() => {
                let access = Access::default();
                Ok(Self { state_dir, socket, access, log_file, log, backends, redis, root_keys, ecash })
            }
            _ => Err(taken.complaints),
        }
    }
}

/// [`LN_CLIENT_TYPE`]'s key, as a pattern.
const LN_CLIENT_TYPE_KEY: &str = "type";

/// The state directory: a flag or directive, else the environment, else the file, else the default.
fn state_dir(layers: Layers<'_>, flag: Option<(&str, &str)>) -> Result<PathBuf, Complaint> {
    let parse = |text: &str| value::state_dir(text.as_bytes()).map(PathBuf::from);
    if let Some((name, text)) = flag {
        return Found::new(name.to_owned(), text.to_owned(), None).parse(&STATE_DIR, parse);
    }
    let found = optional(layers, &STATE_DIR, parse)?;
    Ok(found.unwrap_or_else(|| DEFAULT_STATE_DIR.into()))
}

/// The socket: a flag, else the file.
fn socket(layers: Layers<'_>, flag: Option<(&str, &str)>) -> Result<Option<PathBuf>, Complaint> {
    let parse = |text: &str| value::unix_socket(text.as_bytes()).map(PathBuf::from);
    match flag {
        Some((name, text)) => {
            Found::new(name.to_owned(), text.to_owned(), None).parse(&LISTEN, parse).map(Some)
        }
        None => optional(layers, &LISTEN, parse),
    }
}

fn optional<T>(
    layers: Layers<'_>,
    setting: &Setting,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Complaint> {
    layers.find(setting)?.map(|found| found.parse(setting, parse)).transpose()
}

/// Who may connect, as the file says.
fn access(file: Option<&ConfigFile>, complain: &mut dyn FnMut(Complaint)) -> Access {
    let Some(file) = file else { return Access::default() };
    let find = |setting| file.find(setting).transpose();
    let group = find(&SOCKET_GROUP).map(|found| found?.parse(&SOCKET_GROUP, value::account));
    let mode = find(&SOCKET_MODE).map(|found| found?.parse(&SOCKET_MODE, value::socket_mode));
    let allow = file.find_list(&ALLOW).and_then(|items| {
        items.iter().map(|item| item.parse(&ALLOW, value::peer)).collect::<Result<Vec<_>, _>>()
    });
    Access {
        group: group.transpose().map_err(&mut *complain).ok().flatten(),
        mode: mode.transpose().map_err(&mut *complain).ok().flatten(),
        allow: allow.map_err(complain).unwrap_or_default(),
    }
}

/// The backends of the environment and of the file.
fn backends(layers: Layers<'_>, read: Read<'_>, complain: &mut dyn FnMut(Complaint)) -> Vec<BackendSettings> {
    let tables = layers.file.map(ConfigFile::backends).unwrap_or_default();
    let default = tables.iter().find(|(name, _)| *name == DEFAULT_BACKEND).map(|(_, table)| *table);
    let default = backend::default_of(layers, default, read).transpose();
    let named = tables.iter().filter(|(name, _)| *name != DEFAULT_BACKEND);
    let named = named.map(|(name, table)| backend::of_table(name, *table, read));
    let mut found = Vec::new();
    for backend in default.into_iter().chain(named) {
        match backend {
            Ok(backend) => found.push(backend),
            Err(complaints) => complaints.into_iter().for_each(&mut *complain),
        }
    }
    found
}

/// `backend.main.lnd.address` → (`main`, `lnd.address`).
fn backend_key(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("backend.")?.split_once('.')
}
