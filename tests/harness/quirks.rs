//! What came of each wallet's quirks: whether it sold, whether the payer was served, how often the operator was told. A
//! table, printed when the run ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// What came of one quirk of one kind of wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// A challenge was sent.
    pub sold: bool,
    /// Who paid was served.
    pub served: bool,
    /// Lines in the log that say what is different.
    pub said: usize,
}

/// By quirk and by kind of wallet.
static CELLS: Mutex<BTreeMap<(String, &'static str), Outcome>> = Mutex::new(BTreeMap::new());

/// Keeps what came of it.
pub fn keep(quirk: &str, wallet: &'static str, outcome: Outcome) {
    CELLS.lock().unwrap_or_else(PoisonError::into_inner).insert((quirk.to_owned(), wallet), outcome);
}

/// All that were kept; nothing if there are none.
pub fn table() -> String {
    let cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner);
    let quirks: BTreeSet<_> = cells.keys().map(|(quirk, _)| quirk).collect();
    let wallets: BTreeSet<_> = cells.keys().map(|(_, wallet)| *wallet).collect();
    if quirks.is_empty() {
        return String::new();
    }
    let heads: String = wallets.iter().map(|wallet| format!("{wallet:>14}")).collect();
    let mut text = format!("{:<34}{heads}   sold/served/said\n", "wallets as they really are");
    for quirk in quirks {
        let cell = |wallet: &&'static str| match cells.get(&(quirk.clone(), *wallet)) {
            Some(Outcome { sold, served, said }) => {
                let yes = |is: &bool| if *is { "yes" } else { "no" };
                format!("{}/{}/{said}", yes(sold), yes(served))
            }
            None => "-".to_owned(),
        };
        let row: String = wallets.iter().map(|wallet| format!("{:>14}", cell(wallet))).collect();
        text += &format!("{quirk:<34}{row}\n");
    }
    text
}
