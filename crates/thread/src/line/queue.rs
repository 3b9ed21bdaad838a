//! [`Queue`]: the levels, what is known of the speed, and the rules by which jobs are let in. Times and costs are plain
//! numbers here.

use std::time::{Duration, Instant};

use crate::line::admitted::Admitted;
use crate::line::key::Key;
use crate::line::lanes::Waiting;
use crate::line::levels::Levels;
use crate::line::pace::{Finished, Pace};
use crate::line::priority::Priority;
use crate::line::refusal::Refusal;
use crate::line::standing::Standing;
use crate::line::terms::{AdmissionNumber, LineOptions};
use crate::line::time::Nanos;

pub(crate) struct Queue<J> {
    levels: Levels<J>,
    pace: Pace,
    standing: Standing,
    admitted: Admitted,
    /// How many run jobs when there is work for all.
    servers: usize,
    /// Jobs that have left the queue and not ended, and what they cost together.
    running: usize,
    running_cost: u64,
}

impl<J> Queue<J> {
    pub(crate) fn new(options: LineOptions) -> Queue<J> {
        Queue {
            levels: Levels::new(options.limit),
            pace: Pace::new(options.servers, options.cores),
            standing: Standing::new(options.max_wait, options.standing_wait),
            admitted: Admitted::default(),
            servers: options.servers,
            running: 0,
            running_cost: 0,
        }
    }

    pub(crate) fn set_servers(&mut self, servers: usize) {
        self.servers = servers;
    }

    /// What a job without an estimate counts for.
    pub(crate) fn usual_cost(&self) -> u64 {
        self.pace.usual_cost()
    }

    /// Whether a job is let in.
    pub(crate) fn admission(&mut self, priority: Priority, cost: u64, now: Instant) -> Result<(), Refusal> {
        if self.levels.is_full() {
            return Err(Refusal::Full { queued: self.levels.len(), limit: self.levels.limit() });
        }
        let predicted = self.predicted_wait(priority, cost, now);
        let limit = self.standing.limit(predicted, now);
        if predicted > limit {
            let retry_after = predicted.saturating_sub(limit / 2);
            return Err(Refusal::TooLongWait { predicted, limit, retry_after });
        }
        Ok(())
    }

    /// Nothing while a server is free or can be had; else what waits ahead, what was let in, and on average half of what
    /// runs.
    pub(crate) fn predicted_wait(&mut self, priority: Priority, cost: u64, now: Instant) -> Duration {
        let idle = self.servers.saturating_sub(self.running);
        let (admitted, admitted_cost) = self.admitted.sum(now);
        if idle > self.levels.len() + admitted {
            return Duration::ZERO;
        }
        let ahead = self.levels.cost_ahead_of(priority, cost).saturating_add(admitted_cost);
        self.pace.time_for(ahead.saturating_add(self.running_cost / 2), self.servers)
    }

    /// A job of this cost was let in, and counts as waiting for a while.
    pub(crate) fn is_let_in(&mut self, cost: u64, now: Instant) -> AdmissionNumber {
        AdmissionNumber(self.admitted.add(cost, now))
    }

    pub(crate) fn forget(&mut self, number: AdmissionNumber) {
        self.admitted.remove(number.0);
    }

    /// Appends a job that was let in.
    pub(crate) fn push(&mut self, priority: Priority, waiting: Waiting<J>) -> Key {
        self.levels.push(priority, waiting)
    }

    /// Puts a job before all of its priority and class.
    pub(crate) fn push_in_front(&mut self, priority: Priority, waiting: Waiting<J>) -> Key {
        self.levels.push_in_front(priority, waiting)
    }

    /// The next job. From now on it counts as running.
    pub(crate) fn pop(&mut self) -> Option<(Priority, Waiting<J>)> {
        let next = self.levels.pop()?;
        self.running += 1;
        self.running_cost = self.running_cost.saturating_add(next.1.cost);
        Some(next)
    }

    /// A job has ended.
    pub(crate) fn finished(&mut self, finished: Finished) {
        self.left_unrun(finished.cost);
        self.pace.record(finished);
    }

    /// A job of this cost does not run any more, and says nothing of the speed.
    pub(crate) fn left_unrun(&mut self, cost: u64) {
        self.running -= 1;
        self.running_cost = self.running_cost.saturating_sub(cost);
    }

    /// Takes a job out that waits; what the queue had of it, to be dropped outside of the lock.
    pub(crate) fn withdraw(&mut self, key: Key) -> Option<J> {
        self.levels.withdraw(key)
    }

    /// Shows all for which it is too late; the earliest time among the others.
    pub(crate) fn overdue(&self, now: Nanos, each: impl FnMut(Key, &J)) -> Nanos {
        self.levels.overdue(now, each)
    }

    pub(crate) fn take_all(&mut self) -> Vec<J> {
        self.levels.take_all()
    }

    pub(crate) fn len(&self) -> usize {
        self.levels.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    pub(crate) fn limit(&self) -> usize {
        self.levels.limit()
    }

    pub(crate) fn len_by_priority(&self) -> [usize; Priority::COUNT] {
        self.levels.len_by_priority()
    }

    /// Jobs that were popped and have not ended.
    pub(crate) fn running(&self) -> usize {
        self.running
    }
}
