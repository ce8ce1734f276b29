//! What l402d's threads share on the way of a claim, run by Shuttle, which decides at each step who goes on.
//!
//! The modules are l402d's own source, compiled once more with a tokio whose tasks, channels and locks Shuttle schedules: all
//! orders of a small case, many thousand random ones of a larger. Their time does not pass: a sleep is a step like any
//! other, a time-out never ends.
#![cfg(test)]
#![forbid(unsafe_code)]
#![allow(dead_code)] // What these cases don't need of the modules.

// The modules name the crate that they use in l402d.
extern crate self as store;

#[path = "../../crates/store/src/api.rs"]
mod api;
#[path = "../../crates/l402d/src/engine/draws.rs"]
mod draws;
#[path = "../../crates/store/src/model.rs"]
mod model;
#[path = "../../crates/store/src/notes.rs"]
mod notes;
#[path = "../../crates/store/src/rate.rs"]
mod rate;
#[path = "../../crates/l402d/src/engine/turns.rs"]
mod turns;

mod claims;
mod look_ups;
mod schedules;

pub use api::*;
pub use model::Model;
pub use notes::Notes;
pub use rate::{Rate, Taken};
