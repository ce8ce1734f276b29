//! Questions without an answer: who waits for each, and what is still to be sent to l402d.
//!
//! An id is a slot and the slot's generation, so an answer that comes too late finds nobody. What is
//! queued is the id, not the frame: a question that was given up before it was written costs nothing,
//! and after a reconnection the queue is rebuilt from the table.
use std::collections::VecDeque;

use agent_api::ToAgent;

/// The table is full: more wait than l402d answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// Who waits (`W`) for what.
pub struct Pending<W> {
    slots: Vec<Slot<W>>,
    free: Vec<u32>,
    outbox: VecDeque<Outgoing>,
    capacity: usize,
}

struct Slot<W> {
    generation: u32,
    entry: Option<Entry<W>>,
}

struct Entry<W> {
    /// `None`: given up while l402d was away and after it may have drawn. On return the question is
    /// repeated and cancelled at once, which undoes the draw.
    waiter: Option<W>,
    /// `None`: waits for the keys.
    question: Option<ToAgent>,
    /// Written on this connection.
    sent: bool,
    /// Written on any connection, and its answer may have drawn from a payment.
    may_have_drawn: bool,
}

#[derive(Clone, Copy)]
enum Outgoing {
    Question(u64),
    Cancel(u64),
}

impl<W: Copy> Pending<W> {
    /// A table for at most `capacity` waiters.
    pub fn new(capacity: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), outbox: VecDeque::new(), capacity }
    }

    /// Someone waits for an answer to `question(id)`, or for the keys where that is `None`.
    ///
    /// # Errors
    /// The table is full.
    pub fn add(&mut self, waiter: W, question: impl FnOnce(u64) -> Option<ToAgent>) -> Result<u64, Full> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < self.capacity => {
                self.slots.push(Slot { generation: 0, entry: None });
                (self.slots.len() - 1) as u32
            }
            None => return Err(Full),
        };
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        let id = u64::from(place.generation) << 32 | u64::from(slot);
        self.forget_given_up();
        let question = question(id);
        if question.is_some() {
            self.outbox.push_back(Outgoing::Question(id));
        }
        self.slots[slot as usize].entry =
            Some(Entry { waiter: Some(waiter), question, sent: false, may_have_drawn: false });
        Ok(id)
    }

    /// The answer is there: who waited for it, if anyone still does.
    pub fn take(&mut self, id: u64) -> Option<W> {
        self.entry(id)?;
        self.remove(id)?.waiter
    }

    /// The one who waited gave up. What was written already is cancelled at l402d, which undoes a draw.
    pub fn cancel(&mut self, id: u64) {
        let Some(entry) = self.entry(id) else { return };
        if entry.sent {
            self.remove(id);
            self.outbox.push_back(Outgoing::Cancel(id));
        } else if entry.may_have_drawn {
            entry.waiter = None;
        } else {
            self.remove(id);
        }
    }

    /// The connection is gone: everything has to be written again, on the next one.
    pub fn disconnected(&mut self) {
        self.outbox.clear();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let id = u64::from(slot.generation) << 32 | index as u64;
            if let Some(entry) = slot.entry.as_mut().filter(|entry| entry.question.is_some()) {
                entry.sent = false;
                self.outbox.push_back(Outgoing::Question(id));
            }
        }
    }

    /// Appends the next frame that is worth writing, in this version of the protocol; `false`: there is none.
    pub fn next_frame(&mut self, version: u16, out: &mut Vec<u8>) -> bool {
        while let Some(next) = self.outbox.pop_front() {
            match next {
                Outgoing::Cancel(id) => {
                    ToAgent::Cancel { id }.encode(out);
                    return true;
                }
                Outgoing::Question(id) => {
                    let Some(entry) = self.entry(id) else { continue };
                    let Some(question) = &entry.question else { continue };
                    question.encode_in(version, out);
                    entry.may_have_drawn |= question.draws_in(version);
                    entry.sent = true;
                    if entry.waiter.is_none() {
                        self.remove(id);
                        self.outbox.push_front(Outgoing::Cancel(id));
                    }
                    return true;
                }
            }
        }
        false
    }

    /// How much is queued, what is not worth writing any more included.
    pub fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// Those who wait for the keys.
    pub fn waiting_for_keys(&self) -> Vec<u64> {
        self.ids(|entry| entry.question.is_none())
    }

    /// Those who lose nothing by an answer that l402d is gone. A draw that may have happened is waited
    /// for: the same request id gets the same answer from the next l402d.
    pub fn with_nothing_at_stake(&self) -> Vec<u64> {
        self.ids(|entry| entry.waiter.is_some() && !entry.may_have_drawn)
    }

    /// While l402d takes nothing, ids of questions given up pile up in the queue: drops them once they
    /// outnumber the table.
    fn forget_given_up(&mut self) {
        if self.outbox.len() <= 2 * self.capacity {
            return;
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        outbox.retain(|outgoing| match outgoing {
            Outgoing::Question(id) => self.entry(*id).is_some(),
            Outgoing::Cancel(_) => true,
        });
        self.outbox = outbox;
    }

    fn ids(&self, wanted: impl Fn(&Entry<W>) -> bool) -> Vec<u64> {
        let slots = self.slots.iter().enumerate();
        let found = slots.filter(|(_, slot)| slot.entry.as_ref().is_some_and(&wanted));
        found.map(|(index, slot)| u64::from(slot.generation) << 32 | index as u64).collect()
    }

    fn entry(&mut self, id: u64) -> Option<&mut Entry<W>> {
        let slot = self.slots.get_mut((id & u64::from(u32::MAX)) as usize)?;
        slot.entry.as_mut().filter(|_| u64::from(slot.generation) == id >> 32)
    }

    fn remove(&mut self, id: u64) -> Option<Entry<W>> {
        let index = (id & u64::from(u32::MAX)) as u32;
        let entry = self.slots.get_mut(index as usize)?.entry.take()?;
        self.free.push(index);
        Some(entry)
    }
}
