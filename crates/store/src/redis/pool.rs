//! The connections, and whose turn it is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{link::Link, servers::Dial};

/// Connections, each of which carries any number of calls at once.
pub(super) struct Pool {
    links: Vec<Link>,
    next: AtomicUsize,
}

impl Pool {
    /// Begins to connect, in the background.
    pub(super) fn start(dial: &Arc<Dial>, connections: usize) -> Self {
        let links = (0..connections.max(1)).map(|number| Link::start(dial.clone(), number == 0)).collect();
        Self { links, next: AtomicUsize::new(0) }
    }

    /// The next connection's turn, or that of one that is there.
    pub(super) fn link(&self) -> &Link {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.links.len();
        let (before, from) = self.links.split_at(turn);
        from.iter().chain(before).find(|link| link.is_up()).unwrap_or(&self.links[turn])
    }
}
