//! How a line is set up, on which terms a job enters it, and what comes back from it.

use std::time::{Duration, Instant};

use crate::line::priority::Priority;
use crate::line::refusal::Refusal;
use crate::line::time::Nanos;

/// How a [`Line`](crate::line::Line) is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineOptions {
    /// Who runs jobs: how many threads or processes there may be.
    pub servers: usize,
    /// How many of them can really run at once, until measurements say more:
    /// [`phalanx_memory::usable_cores`].
    pub cores: usize,
    /// How many jobs may wait.
    pub limit: usize,
    /// The longest wait of a job that is let in, by prediction: for bursts.
    pub max_wait: Duration,
    /// The same once the wait was longer than this for 100 ms: then the line stands, and carries no burst any more.
    pub standing_wait: Duration,
}

/// On which terms a job enters a line. The default asks for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Who goes first.
    pub priority: Priority,
    /// How long it will probably run, alone on a core. Without it, the mean of such jobs.
    pub cost: Option<Duration>,
    /// When it is too late for it.
    pub due: Option<Instant>,
}

/// As what a job counts that has left its line to run: it goes back to the line, once, when that is over.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the line takes the job for running until the ticket comes back"]
pub struct Ticket {
    pub(crate) priority: Priority,
    pub(crate) cost: u64,
    pub(crate) due: Nanos,
    pub(crate) is_estimated: bool,
}

impl Ticket {
    /// How long the job was taken to run.
    pub fn cost(&self) -> Duration {
        Duration::from_nanos(self.cost)
    }

    /// Its priority.
    pub fn priority(&self) -> Priority {
        self.priority
    }
}

/// The next job, to be run.
#[derive(Debug, PartialEq, Eq)]
pub struct Popped<J> {
    /// The job.
    pub job: J,
    /// To be given back with [`finished`](crate::line::Line::finished), [`left_unrun`](crate::line::Line::left_unrun) or
    /// [`push_in_front`](crate::line::Line::push_in_front).
    pub ticket: Ticket,
}

/// A job that was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused<J> {
    /// The job, so that it is dropped where its owner likes.
    pub job: J,
    /// Why.
    pub why: Refusal,
}

/// How the run of a job went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The wall time for which it occupied its thread or process, waiting for a core included.
    pub occupied: Duration,
    /// The wall time for which it ran.
    pub ran: Duration,
    /// Whether it ran to its end. What stopped early says nothing about speed unless it took longer than all of it
    /// should.
    pub whole: bool,
}

/// Work that was let in and is not in the line yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "it counts as waiting until it is forgotten"]
pub struct AdmissionNumber(pub(crate) u64);
