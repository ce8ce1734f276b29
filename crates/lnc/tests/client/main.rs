//! The client against the simulator's mailbox and node, which were written apart from it.

mod deaths;
mod limits;
mod losses;
mod refusals;
mod sessions;
mod storm;
mod support;
