//! What nginx and `l402d --coprocess` agree on besides frames: two inherited descriptors and one byte.
//!
//! They are standard input and output, which a program can take over safely; errors go to standard error.

/// The configuration pipe: `settings::pairs` text up to end of file. nginx writes it, l402d reads it.
pub const CONFIG_FD: i32 = 0;

/// The lifeline, a socket pair with worker 0: when its other end closes, l402d finishes what is in
/// flight and exits; when l402d's end closes, nginx starts another.
pub const LIFELINE_FD: i32 = 1;

/// The files that l402d may be installed as, the best one first: the very one that a module was built with, which an upgrade
/// leaves beside its successor, and whichever is newest.
pub fn programs() -> [String; 2] {
    [format!("l402d-{}-p{}", env!("CARGO_PKG_VERSION"), crate::PROTOCOL), "l402d".to_owned()]
}

/// The byte l402d writes on the lifeline once it listens.
pub const READY: u8 = b'R';
