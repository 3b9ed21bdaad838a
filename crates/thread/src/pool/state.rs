//! What lies behind the lock of the dispatcher, and what is decided under it: who is called, and who is let in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::line::{Finished, LineOptions, Priority, Queue, Refusal};
use crate::pool::entry::Entry;
use crate::pool::staff::{Size, Staff};
use crate::pool::waiters::Waiters;
use crate::sync::checked::Bed;

/// Whether jobs are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doors {
    Open,
    /// No new jobs; threads end when none is left.
    Closed,
}

pub(crate) struct State<J> {
    /// Jobs that threads have taken count as running there, those in their hands too.
    pub(crate) queue: Queue<J>,
    pub(crate) doors: Doors,
    pub(crate) staff: Staff,
    /// At least as many as wait in hands.
    pub(crate) dealt: usize,
    /// Who waits for room in the queue.
    pub(crate) waiters: Waiters,
}

/// Whom a change calls to work; to be answered when the lock is free again.
#[must_use = "jobs wait for somebody who was not called"]
pub(crate) enum Call {
    Nobody,
    Wake(Arc<Bed>),
    /// A thread with this number has to be started.
    Start(usize),
}

impl<J: Entry> State<J> {
    pub(crate) fn new(size: Size, options: LineOptions) -> State<J> {
        State {
            queue: Queue::new(options),
            doors: Doors::Open,
            staff: Staff::new(size),
            dealt: 0,
            waiters: Waiters::default(),
        }
    }

    /// Calls somebody if there is work and nobody looks for it.
    pub(crate) fn call(&mut self) -> Call {
        if self.staff.searching > 0 || self.queue.is_empty() {
            return Call::Nobody;
        }
        self.call_another().unwrap_or(Call::Nobody)
    }

    /// Calls one more, if there is one.
    pub(crate) fn call_another(&mut self) -> Option<Call> {
        if let Some(bed) = self.staff.rouse() {
            return Some(Call::Wake(bed));
        }
        if self.doors == Doors::Open && self.staff.too_few_come_for(self.queue.len(), self.queue.running()) {
            return self.staff.hire().map(Call::Start);
        }
        None
    }

    /// Takes the next job out of the queue, for a thread or its hand; with its cost.
    pub(crate) fn draw(&mut self) -> Option<(J, u64)> {
        self.queue.pop().map(|(_, waiting)| (waiting.job, waiting.cost))
    }

    /// How many jobs a busy thread may take along: its share of what waits, if nobody is or could be there for them.
    pub(crate) fn share(&self) -> usize {
        if self.staff.are_all_busy() { self.queue.len() / self.staff.size.most } else { 0 }
    }

    /// These were finished by one thread since it last took a job from here.
    pub(crate) fn record(&mut self, finished: &[Finished]) {
        self.dealt -= finished.len().saturating_sub(1);
        finished.iter().for_each(|finished| self.queue.finished(*finished));
    }

    /// A job left a hand without having been run there.
    pub(crate) fn left_a_hand(&mut self, cost: u64) {
        self.dealt -= 1;
        self.queue.left_unrun(cost);
    }

    pub(crate) fn admission(&mut self, priority: Priority, cost: u64, now: Instant) -> Result<(), Refusal> {
        if self.doors == Doors::Closed {
            return Err(Refusal::ShuttingDown);
        }
        self.queue.set_servers(self.staff.strength());
        self.queue.admission(priority, cost, now)
    }

    pub(crate) fn predicted_wait(&mut self, cost: u64, now: Instant) -> Duration {
        self.queue.set_servers(self.staff.strength());
        self.queue.predicted_wait(Priority::DEFAULT, cost, now)
    }
}
