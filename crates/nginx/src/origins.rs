//! Finds two servers whose tokens would open each other: those that can have one origin.
//!
//! A token is bound to the name that its client asked for, and to the port. nginx tells servers apart by address too, and
//! which server gets a name depends on the socket. This follows nginx's own choice ("Server names" of its manual): an exact
//! name, then the longest wildcard, then a regular expression, then the default server of the socket. What a regular
//! expression matches can't be said, so that it counts as matching.

use std::collections::HashSet;

/// A name of a server, as `server_name` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// `shop.example`
    Exact(Vec<u8>),
    /// `*.shop.example`, without the asterisk.
    Under(Vec<u8>),
    /// `.shop.example`: the name without the dot, and all under it.
    AtAndUnder(Vec<u8>),
    /// `shop.*`, without the asterisk.
    Begins(Vec<u8>),
    /// `~^…$`
    Regex,
}

impl Name {
    /// Reads a name that is no regular expression.
    pub fn read(text: &[u8]) -> Self {
        match text {
            [b'*', rest @ ..] => Self::Under(rest.to_vec()),
            [b'.', ..] => Self::AtAndUnder(text.to_vec()),
            [start @ .., b'*'] => Self::Begins(start.to_vec()),
            exact => Self::Exact(exact.to_vec()),
        }
    }

    /// Its rank among the names that match a host: an exact name before any other, a longer wildcard before a shorter one.
    fn rank(&self, host: &[u8]) -> Option<(u8, usize)> {
        match self {
            Self::Exact(name) => (name == host).then_some((3, 0)),
            Self::Under(end) => (host.len() > end.len() && host.ends_with(end)).then_some((2, end.len())),
            Self::AtAndUnder(end) => (host.ends_with(end) || *host == end[1..]).then_some((2, end.len())),
            Self::Begins(start) => {
                (host.len() > start.len() && host.starts_with(start)).then_some((1, start.len()))
            }
            Self::Regex => None,
        }
    }

    /// A host that it matches.
    fn example(&self) -> Option<Vec<u8>> {
        match self {
            Self::Exact(name) => Some(name.clone()),
            Self::Under(end) | Self::AtAndUnder(end) => Some([ANY, end].concat()),
            Self::Begins(start) => Some([start, ANY].concat()),
            Self::Regex => None,
        }
    }
}

/// A label that no configuration names.
const ANY: &[u8] = b"any-other-name";

/// One `server {}`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its file and line.
    pub place: String,
    /// Is something sold in it?
    pub sells: bool,
    /// `l402_origin`
    pub origin: Option<Vec<u8>>,
    /// `server_name`
    pub names: Vec<Name>,
}

/// One address and port that servers listen on.
#[derive(Clone, Debug)]
pub struct Socket {
    /// The port as an origin tells it: 0 for those of http and https, and where there is none.
    pub port: u16,
    /// The default server, by its place in the list of servers.
    pub default: usize,
    /// All servers, in the order of the configuration.
    pub servers: Vec<usize>,
}

/// Two servers that sell and can have one origin.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict<'a> {
    /// Their files and lines.
    pub places: [&'a str; 2],
    /// The name that both can be asked for by.
    pub origin: String,
}

/// The first such pair, where not both say which origin they have.
pub fn conflict<'a>(servers: &'a [Server], sockets: &[Socket]) -> Option<Conflict<'a>> {
    let hosts = hosts(servers);
    let selling: Vec<usize> = (0..servers.len()).filter(|at| servers[*at].sells).collect();
    for (index, one) in selling.iter().enumerate() {
        for other in &selling[index + 1..] {
            if servers[*one].origin.is_some() && servers[*other].origin.is_some() {
                continue;
            }
            if let Some(origin) = common_origin(servers, sockets, &hosts, *one, *other) {
                return Some(Conflict { places: [one, other].map(|at| &*servers[*at].place), origin });
            }
        }
    }
    None
}

/// Hosts that stand for all that clients can ask for.
fn hosts(servers: &[Server]) -> Vec<Vec<u8>> {
    let names = servers.iter().flat_map(|server| &server.names).filter_map(Name::example);
    let fixed = servers.iter().filter_map(|server| Some(split(server.origin.as_ref()?).0.to_vec()));
    let mut seen = HashSet::new();
    // What the configuration names comes first: it says most to whoever reads the complaint.
    let all = names.chain(fixed).chain([ANY.to_vec()]);
    all.filter(|host| !host.is_empty() && seen.insert(host.clone())).collect()
}

fn common_origin(
    servers: &[Server],
    sockets: &[Socket],
    hosts: &[Vec<u8>],
    one: usize,
    other: usize,
) -> Option<String> {
    let ways = |server| Ways { servers, sockets, server };
    for host in hosts {
        for port in sockets.iter().map(|socket| socket.port) {
            let (left, right) = (ways(one).of(host, port), ways(other).of(host, port));
            let exclusive = |a: &Way, b: &Way| matches!((a, b), (Way::At(a), Way::At(b)) if a == b);
            if left.iter().any(|a| right.iter().any(|b| !exclusive(a, b))) {
                let host = String::from_utf8_lossy(host);
                return Some(if port == 0 { host.into_owned() } else { format!("{host}:{port}") });
            }
        }
    }
    None
}

/// A way for a server to come by an origin.
enum Way {
    /// `l402_origin` or `server_name` says so.
    Said,
    /// It gets the requests for that host on this socket, and there nobody else does.
    At(usize),
}

struct Ways<'a> {
    servers: &'a [Server],
    sockets: &'a [Socket],
    server: usize,
}

impl Ways<'_> {
    fn of(&self, host: &[u8], port: u16) -> Vec<Way> {
        let server = &self.servers[self.server];
        if let Some(origin) = &server.origin {
            return if split(origin) == (host, port) { vec![Way::Said] } else { Vec::new() };
        }
        let here = self.sockets.iter().enumerate().filter(|(_, socket)| socket.port == port);
        let mut ways = Vec::new();
        for (at, socket) in here {
            if socket.servers.contains(&self.server)
                && server.names.iter().any(|name| matches!(name, Name::Exact(name) if name == host))
            {
                ways.push(Way::Said);
            }
            if receivers(self.servers, socket, host).contains(&self.server) {
                ways.push(Way::At(at));
            }
        }
        ways
    }
}

/// The servers that may get a request for this host on a socket.
fn receivers(servers: &[Server], socket: &Socket, host: &[u8]) -> Vec<usize> {
    let rank = |at: &usize| servers[*at].names.iter().filter_map(|name| name.rank(host)).max();
    let best = socket.servers.iter().filter_map(|at| Some((rank(at)?, *at)));
    // Of equals the first one gets it.
    if let Some((_, at)) = best.reduce(|best, next| if next.0 > best.0 { next } else { best }) {
        return vec![at];
    }
    let has_regex = |at: &&usize| servers[**at].names.contains(&Name::Regex);
    socket.servers.iter().filter(has_regex).copied().chain([socket.default]).collect()
}

/// The name and the port of an origin that was written by hand; port 0 is that of http or https.
fn split(origin: &[u8]) -> (&[u8], u16) {
    let colon = origin.iter().rposition(|byte| *byte == b':');
    let port = colon.and_then(|at| std::str::from_utf8(&origin[at + 1..]).ok()?.parse().ok());
    match (colon, port) {
        (Some(at), Some(80 | 443)) => (&origin[..at], 0),
        (Some(at), Some(port)) => (&origin[..at], port),
        (_, None) | (None, _) => (origin, 0),
    }
}
