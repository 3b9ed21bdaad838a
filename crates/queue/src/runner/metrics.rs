//! [`RunnerMetrics`]: what a runner has done and does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::job::Outcome;

/// What a runner has done and does. All counts are since its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RunnerMetrics {
    /// Leases in its hands now.
    pub running: usize,
    /// Leases that it was given.
    pub claimed: u64,
    /// Attempts with a result.
    pub done: u64,
    /// With an error.
    pub failed: u64,
    /// That killed their job process.
    pub crashed: u64,
    /// That were cancelled.
    pub cancelled: u64,
    /// That were handed back uncounted.
    pub returned: u64,
    /// Leases that became somebody else's while it worked on them.
    pub lost: u64,
    /// Reports that came too late and were not recorded.
    pub stale: u64,
    /// Questions to the store that it did not answer.
    pub unanswered: u64,
    /// The last of its errors.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) claimed: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    crashed: AtomicU64,
    cancelled: AtomicU64,
    returned: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) stale: AtomicU64,
    unanswered: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Counters {
    pub(super) fn count(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Done(_) => &self.done,
            Outcome::Failed { .. } => &self.failed,
            Outcome::Crashed { .. } => &self.crashed,
            Outcome::Cancelled => &self.cancelled,
            Outcome::Returned => &self.returned,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn was_not_answered(&self, error: &crate::Error) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    pub(super) fn read(&self, running: usize) -> RunnerMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RunnerMetrics {
            running,
            claimed: read(&self.claimed),
            done: read(&self.done),
            failed: read(&self.failed),
            crashed: read(&self.crashed),
            cancelled: read(&self.cancelled),
            returned: read(&self.returned),
            lost: read(&self.lost),
            stale: read(&self.stale),
            unanswered: read(&self.unanswered),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
