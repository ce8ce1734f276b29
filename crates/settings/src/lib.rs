//! One record per setting, and the way from an operator's text to typed settings.
//!
//! Everything here is pure: the environment, files and configuration blocks are parameters, and
//! nothing is done with them but to understand them. What can't be understood becomes a
//! [`Complaint`]; all complaints are collected, so that an operator mends a configuration in one go.
//! The same parsers serve `nginx -t`, a variable's value at run time, the pipe to the co-process and
//! a standalone l402d.
//!
//! [`SETTINGS`] is the one list. It gives names, contexts, defaults and error texts, and the pages
//! under `docs/reference/` are written from it ([`reference`](mod@reference)).
#![forbid(unsafe_code)]

mod agent;
mod backend;
mod certificate;
mod complaint;
mod config_file;
mod curve;
mod ecash;
mod files;
mod list;
mod pairs;
mod payout;
mod punycode;
mod record;
mod redis;
mod root_key;
mod rules;
mod secret;
mod source;
mod variables;

pub mod reference;
pub mod tlv;
pub mod value;

pub use agent::{Access, AgentConfig, Flags};
pub use backend::*;
pub use complaint::Complaint;
pub use config_file::{ConfigFile, Entry, Value};
pub use ecash::*;
pub use files::{TooOpen, check_private_mode};
pub use list::*;
pub use payout::*;
pub use record::{Context, Directive, Kind, Setting};
pub use redis::*;
pub use root_key::{RootKeys, key_lines, root_keys};
pub use rules::{backend_exists, find_directive, realm_has_reuse, set_but_not_read};
pub use secret::Secret;
pub use value::{Account, Peer, Realm};
pub use variables::{VARIABLES, Variable};

/// How an environment is looked into: the value of a variable, if it is set.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How a file is read. The caller decides what it demands of the file (see [`check_private_mode`]).
pub type Read<'a> = &'a dyn Fn(&std::path::Path) -> std::io::Result<Vec<u8>>;
