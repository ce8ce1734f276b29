//! A worker's table of questions against the least l402d that there can be, over a wire that breaks.
//!
//! Also driven by the fuzz target `give_back`, with longer sequences than the test tries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use agent_api::{FromAgent, PROTOCOL, Proof, Secret32, ToAgent};

use crate::pending::Pending;

/// What can happen next. The number is a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A client comes with its credential.
    Ask(u8),
    /// It leaves.
    Leave(u8),
    /// The worker writes a frame.
    Write,
    /// l402d reads a frame.
    Read,
    /// l402d draws a use, durably, and answers.
    Draw,
    /// The worker reads an answer.
    Hear,
    /// The connection breaks; what is on the wire is lost, and so is what l402d was about to do.
    Break,
    /// There is another.
    Connect,
    /// l402d has been away for long: who loses nothing by it is told so.
    GiveUp,
}

/// Everything there is. Each client pays for itself, so each payment is drawn on once, or not at all.
pub struct World {
    table: Pending<u8>,
    /// The question's id of a client that waits.
    waits: BTreeMap<u8, u64>,
    asked: BTreeSet<u8>,
    served: BTreeSet<u8>,
    left: BTreeSet<u8>,
    /// Was told that l402d is gone.
    told_gone: BTreeSet<u8>,
    connected: bool,
    /// Left, and what was written for them on this connection has not been taken back yet.
    owed: BTreeSet<u8>,
    /// Written for these on this connection.
    written: BTreeSet<u8>,
    to_agent: VecDeque<ToAgent>,
    from_agent: VecDeque<FromAgent>,
    /// On this connection, by question id.
    in_flight: VecDeque<(u64, u8)>,
    granted: BTreeMap<u64, u8>,
    /// For ever, by request: drawn, and closed by a release.
    drawn: BTreeSet<u8>,
    released: BTreeSet<u8>,
}

impl World {
    /// A worker and an l402d that are connected.
    pub fn new(capacity: usize) -> Self {
        Self {
            table: Pending::new(capacity),
            waits: BTreeMap::new(),
            asked: BTreeSet::new(),
            served: BTreeSet::new(),
            left: BTreeSet::new(),
            told_gone: BTreeSet::new(),
            connected: true,
            owed: BTreeSet::new(),
            written: BTreeSet::new(),
            to_agent: VecDeque::new(),
            from_agent: VecDeque::new(),
            in_flight: VecDeque::new(),
            granted: BTreeMap::new(),
            drawn: BTreeSet::new(),
            released: BTreeSet::new(),
        }
    }

    /// Answers whether the step did anything.
    pub fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Ask(client) => self.ask(client),
            Step::Leave(client) => {
                let Some(id) = self.waits.remove(&client) else { return false };
                self.left.insert(client);
                if self.written.contains(&client) {
                    self.owed.insert(client);
                }
                self.table.cancel(id);
                true
            }
            Step::Write => {
                let mut bytes = Vec::new();
                if !self.connected || !self.table.next_frame(PROTOCOL, &mut bytes) {
                    return false;
                }
                let (frame, used) = ToAgent::decode(&bytes).expect("a frame").expect("a whole frame");
                assert_eq!(used, bytes.len(), "one frame at a time");
                if let ToAgent::Redeem { request: [client, ..], .. } = &frame {
                    assert!(self.written.insert(*client), "{client} was asked for twice");
                    if self.left.contains(client) {
                        self.owed.insert(*client);
                    }
                }
                self.to_agent.push_back(frame);
                true
            }
            Step::Read => self.read(),
            Step::Draw => {
                let Some((id, request)) = self.in_flight.pop_front() else { return false };
                // One that was released before is refused, which only a client that left can come to.
                if self.released.contains(&request) {
                    assert!(self.left.contains(&request), "{request} was released and waits");
                    return true;
                }
                self.drawn.insert(request);
                self.granted.insert(id, request);
                self.from_agent.push_back(FromAgent::Granted { id, remaining: Some(0) });
                true
            }
            Step::Hear => {
                let Some(answer) = self.from_agent.pop_front() else { return false };
                if let Some(client) = self.table.take(answer.id()) {
                    assert_eq!(self.waits.remove(&client), Some(answer.id()), "another's answer");
                    assert!(self.served.insert(client), "{client} was told twice");
                }
                true
            }
            Step::Break => {
                if !self.connected {
                    return false;
                }
                self.connected = false;
                self.table.disconnected();
                self.owed.clear();
                self.written.clear();
                self.to_agent.clear();
                self.from_agent.clear();
                self.in_flight.clear();
                self.granted.clear();
                true
            }
            Step::Connect => !std::mem::replace(&mut self.connected, true),
            Step::GiveUp => {
                let ids = self.table.with_nothing_at_stake();
                if self.connected || ids.is_empty() {
                    return false;
                }
                for id in ids {
                    let client = self.table.take(id).expect("one who waits");
                    assert_eq!(self.waits.remove(&client), Some(id), "another's answer");
                    self.told_gone.insert(client);
                }
                true
            }
        }
    }

    /// Is there a use to be taken back by a `Cancel` that l402d has not read? It is not acknowledged, so one that is
    /// lost with its connection leaves the use drawn: a client that leaves in the millisecond in which l402d dies pays.
    pub fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Lets everything come to its end, and looks at what became of each client's use.
    pub fn end(mut self) {
        self.step(Step::Connect);
        while [Step::Write, Step::Read, Step::Draw, Step::Hear].into_iter().any(|step| self.step(step)) {}
        assert!(self.waits.is_empty(), "{:?} wait for ever", self.waits);
        assert!(self.table.waiting_for_keys().is_empty() && self.table.queued() == 0);
        let ends = [&self.served, &self.left, &self.told_gone];
        assert_eq!(ends.iter().map(|clients| clients.len()).sum::<usize>(), self.asked.len());
        assert_eq!(self.drawn, self.served, "drawn, and served");
        assert!(self.table.add(0, |_| None).is_ok(), "places are given back too");
    }

    fn ask(&mut self, client: u8) -> bool {
        if self.asked.contains(&client) {
            return false;
        }
        let question = |id| {
            Some(ToAgent::Redeem {
                id,
                request: [client; 16],
                backend: String::new(),
                payment_hash: [client; 32],
                proof: Proof::Preimage(Secret32::new([client; 32])),
                limit: Some(1),
                draw: true,
            })
        };
        let Ok(id) = self.table.add(client, question) else { return false };
        self.asked.insert(client);
        self.waits.insert(client, id);
        true
    }

    fn read(&mut self) -> bool {
        match self.to_agent.pop_front() {
            None => return false,
            Some(ToAgent::Redeem { id, request: [client, ..], .. }) => {
                assert!(self.in_flight.iter().all(|(other, _)| *other != id), "an id was used twice");
                self.in_flight.push_back((id, client));
            }
            Some(ToAgent::Cancel { id }) => {
                let asked = self.in_flight.iter().position(|(other, _)| *other == id);
                let request = match asked.and_then(|at| self.in_flight.remove(at)) {
                    Some((_, request)) => Some(request),
                    None => self.granted.remove(&id),
                };
                if let Some(request) = request {
                    self.owed.remove(&request);
                    self.drawn.remove(&request);
                    self.released.insert(request);
                }
            }
            Some(other) => panic!("{other:?}"),
        }
        true
    }
}
