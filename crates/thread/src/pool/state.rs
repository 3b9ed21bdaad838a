//! What lies behind the lock of the dispatcher, and what is decided under it: who is called, and who is let in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::pool::admission::Admitted;
use crate::pool::error::Refusal;
use crate::pool::lanes::Entry;
use crate::pool::levels::Levels;
use crate::pool::pace::{Finished, Pace};
use crate::pool::priority::Priority;
use crate::pool::staff::{Size, Staff};
use crate::pool::standing::Standing;
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
    pub(crate) queue: Levels<J>,
    pub(crate) pace: Pace,
    pub(crate) standing: Standing,
    pub(crate) admitted: Admitted,
    pub(crate) doors: Doors,
    pub(crate) staff: Staff,
    /// Jobs that threads have taken, those in their hands too.
    pub(crate) running: usize,
    pub(crate) running_cost: u64,
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
    pub(crate) fn new(size: Size, cores: usize, queue_limit: usize, standing: Standing) -> State<J> {
        State {
            queue: Levels::new(queue_limit),
            pace: Pace::new(size.most, cores),
            standing,
            admitted: Admitted::default(),
            doors: Doors::Open,
            staff: Staff::new(size),
            running: 0,
            running_cost: 0,
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
        if self.doors == Doors::Open && self.staff.too_few_come_for(self.queue.len(), self.running) {
            return self.staff.hire().map(Call::Start);
        }
        None
    }

    /// Takes the next job out of the queue, for a thread or its hand; with its cost.
    pub(crate) fn draw(&mut self) -> Option<(J, u64)> {
        let (job, cost) = self.queue.pop()?;
        self.running += 1;
        self.running_cost = self.running_cost.saturating_add(cost);
        Some((job, cost))
    }

    /// How many jobs a busy thread may take along: its share of what waits, if nobody is or could be there for them.
    pub(crate) fn share(&self) -> usize {
        if self.staff.are_all_busy() { self.queue.len() / self.staff.size.most } else { 0 }
    }

    /// These were finished by one thread since it last took a job from here.
    pub(crate) fn record(&mut self, finished: &[Finished]) {
        self.running -= finished.len();
        self.dealt -= finished.len().saturating_sub(1);
        for finished in finished {
            self.running_cost = self.running_cost.saturating_sub(finished.cost);
            self.pace.record(*finished);
        }
    }

    /// A job left a hand without having been run there.
    pub(crate) fn left_a_hand(&mut self, cost: u64) {
        self.dealt -= 1;
        self.running -= 1;
        self.running_cost = self.running_cost.saturating_sub(cost);
    }

    pub(crate) fn admission(&mut self, priority: Priority, cost: u64, now: Instant) -> Result<(), Refusal> {
        if self.doors == Doors::Closed {
            return Err(Refusal::ShuttingDown);
        }
        if self.queue.is_full() {
            return Err(Refusal::Full { queued: self.queue.len(), limit: self.queue.limit() });
        }
        let predicted = self.predicted_wait(priority, cost, now);
        let limit = self.standing.limit(predicted, now);
        if predicted > limit {
            let retry_after = predicted.saturating_sub(limit / 2);
            return Err(Refusal::TooLongWait { predicted, limit, retry_after });
        }
        Ok(())
    }

    /// Nothing while a thread is free or can be had; else what waits ahead, what was let in, and on average half of what
    /// runs.
    pub(crate) fn predicted_wait(&mut self, priority: Priority, cost: u64, now: Instant) -> Duration {
        let strength = self.staff.strength();
        let idle = strength.saturating_sub(self.running);
        let (admitted, admitted_cost) = self.admitted.sum(now);
        if idle > self.queue.len() + admitted {
            return Duration::ZERO;
        }
        let ahead = self.queue.cost_ahead_of(priority, cost).saturating_add(admitted_cost);
        self.pace.time_for(ahead.saturating_add(self.running_cost / 2), strength)
    }
}
