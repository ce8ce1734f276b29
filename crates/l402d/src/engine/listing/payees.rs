//! The wallets at Lightning addresses that are listed: opened when one is first paid, closed when too many others are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use l402::PaymentHash;
use lightning::{Lightning, Notes, Reply};
use tokio::{task::JoinSet, time::Instant};

use super::super::{Engine, backend::Backend, refill};

/// Opens the wallet at a Lightning address, given where it keeps its notes.
pub type Opener =
    Box<dyn Fn(&str, Arc<dyn Notes>) -> Result<Arc<dyn Lightning>, String> + Send + Sync + 'static>;

/// Wallets that are open at most. What one that is closed has sold stays good: it is known by its note.
const MOST: usize = 500;
/// The first word of a note; the address is the second.
const WORD: &str = "payee";

pub(super) struct Payees {
    open: Opener,
    notes: Arc<dyn Notes>,
    opened: Mutex<HashMap<String, Opened>>,
}

struct Opened {
    backend: Arc<Backend>,
    last: Instant,
    /// Keeps its ready invoices; ends with it.
    _tending: JoinSet<()>,
}

impl Payees {
    pub(super) fn new(open: Opener, notes: Arc<dyn Notes>) -> Self {
        Self { open, notes, opened: Mutex::default() }
    }

    /// The wallet at this address.
    pub(super) fn of(&self, address: &str, engine: &Engine) -> Result<Arc<Backend>, String> {
        let mut opened = self.lock();
        if let Some(known) = opened.get_mut(address) {
            known.last = Instant::now();
            return Ok(known.backend.clone());
        }
        let notes = Arc::new(NotesOf { address: address.to_owned(), notes: self.notes.clone() });
        let wallet = (self.open)(address, notes)?;
        let name = settings::lnurl_backend_name(address);
        let backend = Arc::new(Backend::new(name, wallet, engine.store.clone(), engine.record.clone()));
        let mut tending = JoinSet::new();
        tending.spawn(refill::tend(backend.clone(), engine.closing.subscribe()));
        if opened.len() >= MOST {
            let oldest =
                opened.iter().min_by_key(|(_, opened)| opened.last).map(|(address, _)| address.clone());
            oldest.and_then(|address| opened.remove(&address));
        }
        let last = Instant::now();
        opened.insert(address.to_owned(), Opened { backend: backend.clone(), last, _tending: tending });
        Ok(backend)
    }

    /// The one that handed the invoice out.
    pub(super) fn maker(&self, hash: &PaymentHash) -> Option<Arc<Backend>> {
        let opened = self.lock();
        let maker = opened.values().find(|opened| opened.backend.issued().contains(hash));
        maker.map(|opened| opened.backend.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Opened>> {
        // Nothing that holds it can leave it half changed.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address in a note that a listed payee's wallet wrote.
pub(super) fn address_in(note: &str) -> Option<&str> {
    let mut words = note.split(' ');
    (words.next()? == WORD).then(|| words.next()).flatten()
}

/// The notes of one wallet: each says whose it is, for whoever is asked about the invoice later.
struct NotesOf {
    address: String,
    notes: Arc<dyn Notes>,
}

impl Notes for NotesOf {
    fn keep(&self, hash: PaymentHash, note: String) -> Reply<'_, ()> {
        self.notes.keep(hash, format!("{WORD} {} {note}", self.address))
    }

    fn find(&self, hash: PaymentHash) -> Reply<'_, Option<String>> {
        Box::pin(async move {
            let note = self.notes.find(hash).await?;
            let mine = |note: String| {
                let rest = note.strip_prefix(WORD)?.strip_prefix(' ')?;
                Some(rest.strip_prefix(self.address.as_str())?.strip_prefix(' ')?.to_owned())
            };
            Ok(note.and_then(mine))
        })
    }
}
