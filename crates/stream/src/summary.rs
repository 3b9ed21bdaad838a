//! [`Summary`]: what a pipeline did. [`Meter`]: what it has done so far.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::part::{Part, PartFigures, Role, Tally};

/// What a whole run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// What the source gave: bytes of chunks, else items.
    pub read: u64,
    /// What the sink took: bytes of chunks, else items.
    pub written: u64,
    /// From the start of the run to its end.
    pub time: Duration,
    /// Part by part, from the source to the sink.
    pub parts: Vec<PartFigures>,
}

/// What a pipeline has done so far; it can be read at any time, from any thread, also when all is over. A clone is the
/// same.
#[derive(Debug, Clone)]
pub struct Meter {
    parts: Arc<[Measured]>,
    total: Option<u64>,
}

#[derive(Debug)]
struct Measured {
    name: String,
    role: Role,
    tally: Arc<Tally>,
}

impl Meter {
    pub(crate) fn new(parts: &[Arc<dyn Part>], total: Option<u64>) -> Meter {
        let measured = |part: &Arc<dyn Part>| Measured {
            name: part.name().to_owned(),
            role: part.role(),
            tally: part.tally().clone(),
        };
        Meter { parts: parts.iter().map(measured).collect(), total }
    }

    /// What the source gave: bytes of chunks, else items.
    pub fn read(&self) -> u64 {
        self.of(Role::Source).map_or(0, |part| part.tally.given.load(Ordering::Relaxed))
    }

    /// What the sink took: bytes of chunks, else items.
    pub fn written(&self) -> u64 {
        self.of(Role::Sink).map_or(0, |part| part.tally.taken.load(Ordering::Relaxed))
    }

    /// What will be read in all, if the source said so.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Part by part, from the source to the sink.
    pub fn parts(&self) -> Vec<PartFigures> {
        self.parts.iter().map(|part| part.tally.figures(&part.name)).collect()
    }

    pub(crate) fn summary(&self, time: Duration) -> Summary {
        Summary { read: self.read(), written: self.written(), time, parts: self.parts() }
    }

    /// The last of this role: a pipeline has one source, and its own sink is the last.
    fn of(&self, role: Role) -> Option<&Measured> {
        self.parts.iter().rev().find(|part| part.role == role)
    }
}
