//! Users and groups of this host, from `/etc/passwd` and `/etc/group`, and who of them may connect.

use std::{fs, io, path::Path};

use settings::{ALLOW, Access, Account, Complaint, Peer, SOCKET_GROUP};
use tokio::net::unix::UCred;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// Who may connect, by the credentials that the kernel tells of the peer: root, this user, and these.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The user that l402d runs as.
    pub own: u32,
    /// Other users.
    pub users: Vec<u32>,
    /// Groups: those whose effective group it is.
    pub groups: Vec<u32>,
}

impl Peers {
    /// Whether this one may.
    pub fn allow(&self, peer: &UCred) -> bool {
        let user = peer.uid();
        user == 0 || user == self.own || self.users.contains(&user) || self.groups.contains(&peer.gid())
    }
}

/// What the socket's file is to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketRights {
    /// Its group; `None`: as it is made.
    pub group: Option<u32>,
    /// Its permission bits.
    pub mode: u32,
}

/// Finds the numbers behind the names.
///
/// # Errors
/// A complaint for each name that this host does not know.
pub fn resolve(access: &Access, own: u32) -> Result<(Peers, SocketRights), Vec<Complaint>> {
    resolve_with(access, own, &|path| fs::read_to_string(path))
}

fn resolve_with(
    access: &Access,
    own: u32,
    read: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<(Peers, SocketRights), Vec<Complaint>> {
    let mut complaints = Vec::new();
    let mut id = |setting: &'static str, account: &Account, table: &str, what: &str| match account {
        Account::Id(id) => Some(*id),
        Account::Name(name) => {
            let found = read(Path::new(table)).ok().and_then(|rows| find(&rows, name));
            if found.is_none() {
                let (problem, expected) =
                    (format!("is no {what} of this host"), format!("a name in {table}, or a number"));
                complaints.push(Complaint::new(setting, problem, expected).with_value(name.as_bytes()));
            }
            found
        }
    };
    let group = access.group.as_ref().and_then(|group| id(SOCKET_GROUP.key, group, GROUPS, "group"));
    let (mut users, mut groups) = (Vec::new(), Vec::from_iter(group));
    for peer in &access.allow {
        match peer {
            Peer::User(user) => users.extend(id(ALLOW.key, user, USERS, "user")),
            Peer::Group(group) => groups.extend(id(ALLOW.key, group, GROUPS, "group")),
        }
    }
    let mode = access.mode.unwrap_or(if group.is_some() { 0o660 } else { 0o600 });
    let found = (Peers { own, users, groups }, SocketRights { group, mode });
    if complaints.is_empty() { Ok(found) } else { Err(complaints) }
}

/// The number in the third field of the row of this name.
fn find(rows: &str, name: &str) -> Option<u32> {
    let mut fields = rows
        .lines()
        .map(|row| row.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    fields.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some(USERS) => {
                Ok("root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n".into())
            }
            Some(GROUPS) => Ok("www:x:7:\nwww-data:x:34:\n".into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    #[test]
    fn names_become_numbers_or_complaints() {
        let name = |name: &str| Account::Name(name.into());
        let mut access = Access {
            group: Some(name("www-data")),
            mode: None,
            allow: vec![Peer::User(name("www-data")), Peer::Group(name("www")), Peer::User(Account::Id(9))],
        };
        let (peers, rights) = resolve_with(&access, 5, &read).unwrap();
        assert_eq!((peers.own, peers.users, peers.groups), (5, vec![33, 9], vec![34, 7]));
        assert_eq!(rights, SocketRights { group: Some(34), mode: 0o660 });

        access.allow = vec![Peer::User(name("www")), Peer::Group(name("w"))];
        access.group = None;
        let lines: Vec<_> =
            resolve_with(&access, 5, &read).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "allow \"www\" is no user of this host; expected a name in /etc/passwd, or a number",
                "allow \"w\" is no group of this host; expected a name in /etc/group, or a number",
            ]
        );
        let (_, rights) = resolve_with(&Access::default(), 5, &read).unwrap();
        assert_eq!(rights, SocketRights { group: None, mode: 0o600 });
    }
}
