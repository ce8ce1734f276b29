//! The state directory: made and handed over by root without following anybody's link.
//!
//! Each component of the path is opened from the directory before it, and what is changed is changed by its descriptor.
//! A component that somebody other than root could exchange is refused.
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::spawn::Identity;

/// Symbolic links that a path may lead through.
const MAX_LINKS: u32 = 16;

/// True: missing directories are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is made: directories above as root's, the last one for its user alone.
    Make,
    /// It is left missing.
    Leave,
}

/// Checks the directory for the user that l402d runs as, and makes and hands it over where that is asked for. With
/// [`Missing::Leave`] nothing is changed.
///
/// # Errors
/// What is there can't be used, in words for the operator, or the system's error.
pub fn prepare(path: &Path, identity: Option<Identity>, missing: Missing) -> io::Result<()> {
    let mut walk =
        Walk { here: open_root()?, above: PathBuf::from("/"), is_root: identity.is_some(), links: 0 };
    let mut components = names(path)?;
    while let Some(name) = components.pop() {
        let is_last = components.is_empty();
        match walk.enter(&name)? {
            Entered::Yes => {}
            Entered::Link(target) => {
                if target.is_absolute() {
                    (walk.here, walk.above) = (open_root()?, PathBuf::from("/"));
                }
                components.extend(names(&target)?);
            }
            Entered::Nothing if missing == Missing::Leave => return Ok(()),
            Entered::Nothing => {
                walk.make(&name, if is_last { 0o700 } else { 0o755 })?;
                components.push(name);
            }
        }
    }
    claim(File::from(walk.here), identity, missing)
}

/// The names of a path, the last one first.
fn names(path: &Path) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(CString::new(name.as_bytes())?),
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::other("a path without \"..\" is expected"));
            }
        }
    }
    names.reverse();
    Ok(names)
}

/// Gives a directory to its user, if it is root's and empty, as a package or systemd leaves it.
fn claim(directory: File, identity: Option<Identity>, missing: Missing) -> io::Result<()> {
    let found = directory.metadata()?;
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other(format!("others may write to it (mode {:04o})", found.mode() & 0o7777)));
    }
    // SAFETY: no arguments, no failure.
    let user = identity.map_or_else(|| unsafe { libc::geteuid() }, |to| to.user);
    if found.uid() == user {
        return Ok(());
    }
    let own = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    let is_unclaimed = found.uid() == 0 && std::fs::read_dir(own)?.next().is_none();
    match identity.filter(|_| is_unclaimed) {
        Some(_) if missing == Missing::Leave => Ok(()),
        // SAFETY: a descriptor that is open, and numbers.
        Some(to) => check(unsafe { libc::fchown(directory.as_raw_fd(), to.user, to.group) }),
        None => Err(io::Error::other(format!("it must belong to user {user}, who l402d runs as"))),
    }
}

/// A directory on the way, opened.
struct Walk {
    here: OwnedFd,
    /// Its path, for complaints.
    above: PathBuf,
    /// Does root walk, who could be led astray?
    is_root: bool,
    links: u32,
}

enum Entered {
    Yes,
    /// A symbolic link that nobody but root can have made.
    Link(PathBuf),
    Nothing,
}

impl Walk {
    /// Goes one directory down.
    fn enter(&mut self, name: &CStr) -> io::Result<Entered> {
        self.check_here()?;
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        match open_at(&self.here, name, flags) {
            Ok(opened) => {
                self.here = opened;
                self.above.push(OsStr::from_bytes(name.to_bytes()));
                Ok(Entered::Yes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Entered::Nothing),
            Err(error) => self.link(name)?.map_or(Err(error), |target| Ok(Entered::Link(target))),
        }
    }

    /// The target of a link; `None`: it is none.
    fn link(&mut self, name: &CStr) -> io::Result<Option<PathBuf>> {
        let Ok(link) = open_at(&self.here, name, libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) else {
            return Ok(None);
        };
        let found = File::from(link.try_clone()?).metadata()?;
        if !found.file_type().is_symlink() {
            return Err(io::Error::other("it is no directory"));
        }
        self.links += 1;
        if self.links > MAX_LINKS || self.is_root && found.uid() != 0 {
            let link = self.above.join(OsStr::from_bytes(name.to_bytes()));
            let text = format!("{} is a symbolic link of another user; expected a directory", link.display());
            return Err(io::Error::other(text));
        }
        let mut target = [0; libc::PATH_MAX as usize];
        // SAFETY: reads the link that is open, and writes at most as much as there is room for.
        let length = unsafe {
            let empty: &CStr = c"";
            libc::readlinkat(link.as_raw_fd(), empty.as_ptr(), target.as_mut_ptr().cast(), target.len())
        };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        Ok(Some(PathBuf::from(OsStr::from_bytes(&target[..length]))))
    }

    /// Root only works where nobody else can exchange what is there. In a sticky directory, such as /tmp, nobody can
    /// exchange what is root's.
    fn check_here(&self) -> io::Result<()> {
        let found = File::from(self.here.try_clone()?).metadata()?;
        let is_open = found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0;
        if self.is_root && (found.uid() != 0 || is_open) {
            let text = format!(
                "{} can be changed by other users than root (owner {}, mode {:04o})",
                self.above.display(),
                found.uid(),
                found.mode() & 0o7777
            );
            return Err(io::Error::other(text));
        }
        Ok(())
    }

    fn make(&self, name: &CStr, mode: libc::mode_t) -> io::Result<()> {
        // SAFETY: a descriptor that is open, and a C string.
        check(unsafe { libc::mkdirat(self.here.as_raw_fd(), name.as_ptr(), mode) })
    }
}

fn open_root() -> io::Result<OwnedFd> {
    Ok(File::open("/")?.into())
}

fn open_at(directory: &OwnedFd, name: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: a descriptor that is open, and a C string; what is returned is a descriptor that nobody else has.
    unsafe {
        let opened = libc::openat(directory.as_raw_fd(), name.as_ptr(), flags);
        check(opened)?;
        Ok(OwnedFd::from_raw_fd(opened))
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
