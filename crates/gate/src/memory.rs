//! What a front end remembers of credentials it has verified: bounded, keyed by all their bytes, good for one key ring.
//!
//! Only what follows from the header and the keys alone is remembered, and only of tokens for which nobody need be
//! asked; whether such a token covers this request, at this time and price, is looked at each time
//! ([`Verified::admits`]). A header that is not found, or whose token doesn't cover the request, goes the long way.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use l402::{KeyRing, KeyRingId};
use zeroize::Zeroizing;

use crate::judge::{ALLOCATION, Verified};

/// Places for one hash, the most recently used first: the last one makes room.
const WAYS: usize = 8;

/// The most memory that one credential may take, in bytes, with all that belongs to it. A header of some 550 bytes, which
/// names a path of some 100, is remembered; a longer one is verified each time.
const MAX_BYTES: usize = 1024;

/// This many of a header's last bytes are hashed: there stands the preimage, or a signature.
const HASHED: usize = 96;

/// The memory of one front end. Holds secrets: they are wiped when they are forgotten.
pub struct Memory {
    places: Vec<Option<Entry>>,
    sets: usize,
    hasher: RandomState,
    /// What is in `places` was verified with this ring.
    ring: Option<KeyRingId>,
}

struct Entry {
    hash: u64,
    known: Box<Known>,
}

struct Known {
    header: Zeroizing<Box<[u8]>>,
    verified: Verified,
}

impl Known {
    /// The bytes of memory that it takes.
    fn bytes(&self) -> usize {
        let own = size_of::<Option<Entry>>() + size_of::<Known>() + ALLOCATION;
        own + self.header.len() + ALLOCATION + self.verified.heap_bytes()
    }
}

impl Memory {
    /// A memory for so many credentials, of at most 1 KiB each; it takes room when the first is noted. `hasher`
    /// brings the randomness that keeps anyone from choosing which credentials push each other out.
    pub fn new(credentials: usize, hasher: RandomState) -> Memory {
        Memory { places: Vec::new(), sets: credentials.div_ceil(WAYS).max(1), hasher, ring: None }
    }

    /// What was verified of this header, byte for byte, with the same keys.
    pub(crate) fn recall(&mut self, header: &[u8], keys: &KeyRing) -> Option<&Verified> {
        if self.ring != Some(keys.id()) || header.len() > MAX_BYTES {
            return None;
        }
        let hash = self.hash(header);
        let set = self.set(hash);
        let found = set.iter().position(|place| {
            place.as_ref().is_some_and(|entry| entry.hash == hash && **entry.known.header == *header)
        })?;
        set[..=found].rotate_right(1);
        set[0].as_ref().map(|entry| &entry.known.verified)
    }

    /// Notes what was verified of a header. What was noted with other keys is forgotten.
    pub(crate) fn note(&mut self, header: &[u8], keys: &KeyRing, verified: Verified) {
        if header.len() > MAX_BYTES {
            return;
        }
        let known = Box::new(Known { header: Zeroizing::new(header.into()), verified });
        if known.bytes() > MAX_BYTES {
            return;
        }
        if self.ring != Some(keys.id()) {
            self.places.clear();
            self.places.resize_with(self.sets * WAYS, || None);
            self.ring = Some(keys.id());
        }
        let hash = self.hash(header);
        let set = self.set(hash);
        set.rotate_right(1);
        set[0] = Some(Entry { hash, known });
    }

    fn hash(&self, header: &[u8]) -> u64 {
        self.hasher.hash_one((header.len(), &header[header.len().saturating_sub(HASHED)..]))
    }

    fn set(&mut self, hash: u64) -> &mut [Option<Entry>] {
        let first = (hash % self.sets as u64) as usize * WAYS;
        &mut self.places[first..first + WAYS]
    }
}

/// Says how much, and nothing of what.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} credentials, redacted)", self.places.iter().flatten().count())
    }
}
