//! Kills a process at a step that it logs.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A step of a melt that leaves something behind.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Recorded,
    Asked,
    Answered,
    Kept,
}

impl Step {
    pub const ALL: [Self; 4] = [Self::Recorded, Self::Asked, Self::Answered, Self::Kept];

    pub fn message(self) -> &'static str {
        match self {
            Self::Recorded => "melt recorded",
            Self::Asked => "melt asked",
            Self::Answered => "melt answered",
            Self::Kept => "melt kept",
        }
    }
}

/// From now on this process kills itself, as `kill -9` does, when it logs this.
pub fn kill_at(message: String) {
    tracing::subscriber::set_global_default(Killer { message }).unwrap();
}

pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

struct Killer {
    message: String,
}

impl Subscriber for Killer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("ecash")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut looks = Looks { wanted: &self.message, found: false };
        event.record(&mut looks);
        if looks.found {
            let me = std::process::id().to_string();
            Command::new("kill").args(["-9", &me]).status().unwrap();
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Looks<'a> {
    wanted: &'a str,
    found: bool,
}

impl Visit for Looks<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.found |= field.name() == "message" && format!("{value:?}") == self.wanted;
    }
}
