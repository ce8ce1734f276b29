//! What nginx and `l402d --coprocess` agree on besides frames: two inherited descriptors and one byte.
//!
//! They are standard input and output, which a program can take over safely; errors go to standard error.

/// The configuration pipe: `settings::pairs` text up to end of file. nginx writes it, l402d reads it.
pub const CONFIG_FD: i32 = 0;

/// The lifeline, a socket pair with worker 0: when its other end closes, l402d finishes what is in
/// flight and exits; when l402d's end closes, nginx starts another.
pub const LIFELINE_FD: i32 = 1;

/// The byte l402d writes on the lifeline once it listens.
pub const READY: u8 = b'R';
