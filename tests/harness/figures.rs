//! What came of payments while something was broken: a row for each fault, printed when the run ends.

use std::sync::{Mutex, PoisonError};

/// What single-use payments came to under one fault. The others of the load are asserted where it is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Payments that were made.
    pub payments: usize,
    /// Requests with one of them that were served.
    pub grants: usize,
    /// 402, as it had been used.
    pub refusals: usize,
    /// 503: come back.
    pub come_backs: usize,
    /// Payments that were served more than once.
    pub doubles: usize,
    /// Payments that were called used before they were served.
    pub losses: usize,
    /// Requests with a reusable token, all of which were served.
    pub reusable: usize,
}

static ROWS: Mutex<Vec<(&'static str, Figures)>> = Mutex::new(Vec::new());

impl Figures {
    /// Those of several clients together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            payments: self.payments + other.payments,
            grants: self.grants + other.grants,
            refusals: self.refusals + other.refusals,
            come_backs: self.come_backs + other.come_backs,
            doubles: self.doubles + other.doubles,
            losses: self.losses + other.losses,
            reusable: self.reusable + other.reusable,
        }
    }

    /// Keeps them for the table, then asserts that each payment was served once.
    #[track_caller]
    pub fn settle(self, fault: &'static str) {
        ROWS.lock().unwrap_or_else(PoisonError::into_inner).push((fault, self));
        let good = (self.grants, self.doubles, self.losses) == (self.payments, 0, 0);
        assert!(good, "{fault}: {self:?}");
    }
}

/// All that were kept; nothing if there are none.
pub fn table() -> String {
    let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if rows.is_empty() {
        return String::new();
    }
    rows.sort_by_key(|(fault, _)| *fault);
    let mut text = format!(
        "{:<34}{:>9}{:>8}{:>10}{:>7}{:>9}{:>8}{:>10}\n",
        "payments while Redis is", "payments", "served", "402 used", "503", "doubles", "losses", "reusable"
    );
    for (fault, figures) in rows {
        let Figures { payments, grants, refusals, come_backs, doubles, losses, reusable } = figures;
        text += &format!(
            "{fault:<34}{payments:>9}{grants:>8}{refusals:>10}{come_backs:>7}{doubles:>9}{losses:>8}{reusable:>10}\n"
        );
    }
    text
}
