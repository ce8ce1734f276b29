//! The last grants of a connection: a `Cancel` may cross its answer on the way.

use std::collections::{HashMap, VecDeque};

use crate::engine::Draw;

/// Grants remembered: a `Cancel` that crosses comes within milliseconds, and this is some 0.4 s at full speed.
const CAPACITY: usize = 4096;

#[derive(Default)]
pub(super) struct Granted {
    draws: HashMap<u64, Draw>,
    /// Oldest first; may name ids that were taken.
    order: VecDeque<u64>,
}

impl Granted {
    pub(super) fn add(&mut self, id: u64, draw: Draw) {
        if self.order.len() >= CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.draws.remove(&oldest);
        }
        self.draws.insert(id, draw);
        self.order.push_back(id);
    }

    pub(super) fn take(&mut self, id: u64) -> Option<Draw> {
        self.draws.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAW: Draw = Draw { payment_hash: [2; 32], request: [1; 16] };

    #[test]
    fn remembers_the_last_and_takes_once() {
        let mut granted = Granted::default();
        for id in 0..=CAPACITY as u64 {
            granted.add(id, DRAW);
        }
        assert_eq!(granted.take(0), None);
        assert_eq!(granted.take(1), Some(DRAW));
        assert_eq!(granted.take(1), None);
        assert_eq!(granted.order.len(), CAPACITY);
    }
}
