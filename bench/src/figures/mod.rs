//! The figures, by name.

use crate::report::Report;
use crate::stand::Stand;

mod before;
mod beside;
mod challenges;
mod dear;
mod ecash;
mod grants;
mod hang;
mod lnc;
mod lnd;
mod paid;
mod redis;
mod reload;
mod size;

/// Pairs of slices of each figure.
const PAIRS: usize = 15;

/// Measures one thing and reports it.
pub type Figure = fn(&Stand, &mut Report);

/// All, in the order of the page.
pub const ALL: [(&str, Figure); 16] = [
    ("paid", paid::measure),
    ("challenges", challenges::measure),
    ("dear", dear::measure),
    ("before", before::measure),
    ("lnd", lnd::measure),
    ("lnc", lnc::measure),
    ("hang", hang::measure),
    ("hangs", hang::measure_others),
    ("grants", grants::measure),
    ("redis", redis::measure),
    ("ecash-locked", ecash::locked),
    ("ecash-swap", ecash::swapped),
    ("ecash-hang", ecash::hang),
    ("reload", reload::measure),
    ("memory", size::memory),
    ("bytes", size::bytes),
];

/// `A → B`, each with one decimal.
fn both(theirs: f64, ours: f64) -> String {
    format!("{theirs:.1} → {ours:.1}")
}
