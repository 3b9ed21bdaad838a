//! [`PoolMetrics`]: what a pool of processes has done and does.

use std::time::Duration;

use phalanx_thread::{Distribution, Histogram};

use crate::{Refusal, TaskError};

/// A pool of processes at one moment.
///
/// Every task that was submitted is counted once among `queued`, `running`, `completed`, `failed`, `panicked`, `crashed`,
/// `timed_out`, `cancelled`, `refused` (but for one that was stopped while it ran: it counts as stopped, and among `running`
/// until its process is free of it).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// Processes that there are now, those that start included.
    pub processes: usize,
    /// Those of them that have not said hello yet.
    pub starting: usize,
    /// How many there are at least.
    pub min_processes: usize,
    /// How many there may be.
    pub max_processes: usize,
    /// Processes that were started since the pool was built.
    pub started: u64,
    /// Starts that failed.
    pub failed_starts: u64,
    /// Why the last start failed, until one has succeeded.
    pub last_failure: Option<String>,
    /// Processes that died of a task or by themselves.
    pub died: u64,
    /// Processes that were killed because their task did not stop.
    pub killed: u64,
    /// Processes that were ended because of their age, their memory, or because they had nothing to do.
    pub recycled: u64,
    /// Tasks that wait.
    pub queued: usize,
    /// How many may.
    pub queue_limit: usize,
    /// Tasks that were given to a process: they run, or are next there.
    pub running: usize,
    /// Tasks with an output.
    pub completed: u64,
    /// Tasks that failed in their own words.
    pub failed: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that killed their process.
    pub crashed: u64,
    /// Tasks whose deadline passed.
    pub timed_out: u64,
    /// Tasks that nobody wanted any more.
    pub cancelled: u64,
    /// Tasks that were not taken or never begun.
    pub refused: u64,
    /// Those of them that were refused because their input is poison.
    pub poisoned: u64,
    /// Tasks that were given to another process because theirs died, or was too busy, before they began.
    pub dispatched_again: u64,
    /// Tasks that ran without a permit because none came free in 20 ms.
    pub ran_without_permit: u64,
    /// How long a heavy task would wait if it came now.
    pub predicted_wait: Duration,
    /// Time that all processes together have spent in tasks that have ended.
    pub busy: Duration,
    /// Time since the pool was built.
    pub age: Duration,
    /// From submit to the moment the task was at the head of its process.
    pub wait: Distribution,
    /// From that moment to its end.
    pub run: Distribution,
}

/// What has been counted so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) started: u64,
    pub(super) failed_starts: u64,
    pub(super) died: u64,
    pub(super) killed: u64,
    pub(super) recycled: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) panicked: u64,
    pub(super) crashed: u64,
    pub(super) timed_out: u64,
    pub(super) cancelled: u64,
    pub(super) refused: u64,
    pub(super) poisoned: u64,
    pub(super) dispatched_again: u64,
    pub(super) busy: Duration,
    pub(super) wait: Histogram,
    pub(super) run: Histogram,
}

impl Tally {
    /// A task has ended.
    pub(super) fn count<O>(&mut self, result: &Result<O, TaskError>) {
        *match result {
            Ok(_) => &mut self.completed,
            Err(TaskError::Failed { .. }) => &mut self.failed,
            Err(TaskError::Panicked { .. }) => &mut self.panicked,
            Err(TaskError::Crashed(_)) => &mut self.crashed,
            Err(TaskError::TimedOut(_)) => &mut self.timed_out,
            Err(TaskError::Cancelled) => &mut self.cancelled,
            Err(TaskError::Refused(refusal)) => {
                self.poisoned += u64::from(matches!(refusal, Refusal::Poison { .. }));
                &mut self.refused
            }
        } += 1;
    }
}
