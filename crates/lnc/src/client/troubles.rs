//! What is wrong with the mailbox while a session is being opened, and for how long that is put up with.

use std::time::Duration;

use tokio::time::Instant;

use super::error::LinkError;
use super::handshake::Patience;
use crate::mailbox::MailboxError;

/// Trouble that is over sooner is normal: a node makes a box only when it has something to put into it.
const NORMAL: Duration = Duration::from_secs(1);

/// A box that is tried again fails again within this time, if it does: the longest pause, and the mailbox's own wait.
const FRESH: Duration = Duration::from_secs(2);

/// Kinds of trouble. Each has a clock of its own, which starts when it is first met and never again: two boxes, or one
/// mailbox that says now this and now that, can't put off the end.
#[derive(Clone, Copy)]
enum Kind {
    Unreachable,
    Strange,
    Unknown,
    Occupied,
    Certificate,
}

impl Kind {
    fn of(why: &LinkError) -> Kind {
        match why {
            LinkError::Unreachable(_) => Kind::Unreachable,
            LinkError::Mailbox(MailboxError::Other(_) | MailboxError::Malformed) => Kind::Strange,
            LinkError::Mailbox(MailboxError::NotFound) => Kind::Unknown,
            LinkError::Mailbox(MailboxError::Occupied) => Kind::Occupied,
            LinkError::Certificate(_) => Kind::Certificate,
        }
    }

    /// How much it tells: what the mailbox says of the session says more than that it hung up afterwards.
    fn weight(self) -> u8 {
        match self {
            Kind::Unreachable => 0,
            Kind::Strange => 1,
            Kind::Unknown | Kind::Occupied => 2,
            Kind::Certificate => 3,
        }
    }

    fn patience(self, patience: &Patience) -> Duration {
        match self {
            Kind::Unreachable | Kind::Strange => patience.unreachable,
            Kind::Unknown => patience.unknown,
            Kind::Occupied => patience.occupied,
            // It does not get better.
            Kind::Certificate => Duration::ZERO,
        }
    }
}

/// The troubles met so far.
pub(super) struct Troubles {
    patience: Patience,
    /// When each kind was met first.
    since: [Option<Instant>; 5],
    current: Option<Current>,
    /// What was logged.
    told: Option<LinkError>,
}

struct Current {
    why: LinkError,
    kind: Kind,
    /// When something of the kind was met last.
    seen: Instant,
}

impl Troubles {
    pub(super) fn new(patience: Patience) -> Troubles {
        Troubles { patience, since: [None; 5], current: None, told: None }
    }

    /// One of the boxes was lost, or can't be opened.
    pub(super) fn met(&mut self, now: Instant, why: LinkError) {
        let kind = Kind::of(&why);
        self.since[kind as usize].get_or_insert(now);
        if self.current.as_ref().is_none_or(|current| current.kind.weight() <= kind.weight()) {
            self.current = Some(Current { why, kind, seen: now });
        }
    }

    /// When [`Troubles::verdict`] is due; `None` while nothing is wrong.
    pub(super) fn until(&self) -> Option<Instant> {
        let current = self.current.as_ref()?;
        Some(self.since[current.kind as usize]? + current.kind.patience(&self.patience))
    }

    /// What to give up for; `None` if the trouble is over meanwhile.
    pub(super) fn verdict(&mut self, now: Instant) -> Option<LinkError> {
        let Current { why, seen, .. } = self.current.take()?;
        (now.saturating_duration_since(seen) < FRESH).then_some(why)
    }

    /// When there will be something to log; `None` if there won't.
    pub(super) fn to_tell_at(&self) -> Option<Instant> {
        let current = self.current.as_ref()?;
        let told = self.told.as_ref().is_some_and(|told| *told == current.why);
        if told { None } else { Some(self.since[current.kind as usize]? + NORMAL) }
    }

    /// What to log.
    pub(super) fn tell(&mut self) -> Option<&LinkError> {
        self.told = Some(self.current.as_ref()?.why.clone());
        self.told.as_ref()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const S: Duration = Duration::from_secs(1);

    const UNKNOWN: LinkError = LinkError::Mailbox(MailboxError::NotFound);
    const OCCUPIED: LinkError = LinkError::Mailbox(MailboxError::Occupied);
    const MALFORMED: LinkError = LinkError::Mailbox(MailboxError::Malformed);

    fn gone() -> LinkError {
        LinkError::Unreachable("it closed the connection".to_owned())
    }

    fn troubles() -> (Troubles, Instant) {
        (Troubles::new(Patience::default()), Instant::now())
    }

    #[test]
    fn a_verdict_that_flips_does_not_restart_the_clock() {
        let (mut troubles, start) = troubles();
        for tenth in 0..30 {
            let now = start + S * tenth / 10;
            troubles.met(now, if tenth % 2 == 0 { UNKNOWN } else { OCCUPIED });
        }
        troubles.met(start + S * 3, UNKNOWN);
        assert_eq!(troubles.until(), Some(start + S * 3));
        assert_eq!(troubles.verdict(start + S * 3), Some(UNKNOWN));
    }

    #[test]
    fn what_the_mailbox_says_of_the_session_outweighs_what_says_less() {
        let (mut troubles, start) = troubles();
        troubles.met(start, gone());
        assert_eq!(troubles.until(), Some(start + S * 5));
        troubles.met(start + S, UNKNOWN);
        troubles.met(start + S * 2, gone());
        troubles.met(start + S * 2, MALFORMED);
        assert_eq!(troubles.until(), Some(start + S * 4));
        assert_eq!(troubles.verdict(start + S * 2), Some(UNKNOWN));
    }

    #[test]
    fn a_trouble_that_was_not_met_again_is_over() {
        let (mut troubles, start) = troubles();
        troubles.met(start, UNKNOWN);
        assert_eq!(troubles.verdict(start + S * 3), None);
        assert_eq!(troubles.until(), None, "the node is waited for as if there had been none");
    }

    #[test]
    fn what_is_over_within_a_second_is_not_told_and_the_same_is_told_once() {
        let (mut troubles, start) = troubles();
        assert_eq!(troubles.to_tell_at(), None);
        troubles.met(start, UNKNOWN);
        troubles.met(start + S / 2, UNKNOWN);
        assert_eq!(troubles.to_tell_at(), Some(start + S));
        assert_eq!(troubles.tell(), Some(&UNKNOWN));
        assert_eq!(troubles.to_tell_at(), None);
        troubles.met(start + S * 2, OCCUPIED);
        assert_eq!(troubles.to_tell_at(), Some(start + S * 3));
    }

    #[test]
    fn a_certificate_is_not_waited_for() {
        let (mut troubles, start) = troubles();
        troubles.met(start, LinkError::Certificate("it has expired".to_owned()));
        assert_eq!(troubles.until(), Some(start));
    }
}
