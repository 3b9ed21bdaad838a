//! [`Metrics`]: what a pool has done and does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::line::{Nanos, Priority};
use crate::pool::histogram::{Distribution, Histogram, add};
use crate::pool::job::End;

/// A pool at one moment.
///
/// Every job that was submitted is counted once among `queued`, `running`, `completed`, `panicked`, `timed_out`,
/// `cancelled`, `refused` (but for one that was stopped while it ran: it counts as stopped, and among `running` until
/// it returns).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Metrics {
    /// Threads that there are now.
    pub threads: usize,
    /// How many there are at least, once started.
    pub min_threads: usize,
    /// How many there may be.
    pub max_threads: usize,
    /// Starts of threads that failed: the system gave none, or `init` failed.
    pub failed_starts: u64,
    /// Why the last start failed, until one has succeeded.
    pub last_failure: Option<String>,
    /// Jobs that wait for a thread.
    pub queued: usize,
    /// How many of each priority, 0 to 9.
    pub queued_by_priority: [usize; Priority::COUNT],
    /// How many may.
    pub queue_limit: usize,
    /// Jobs that have a thread (one may still wait for a permit).
    pub running: usize,
    /// Jobs with a result.
    pub completed: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs whose deadline passed, in the queue or while they ran.
    pub timed_out: u64,
    /// Jobs that nobody wanted any more.
    pub cancelled: u64,
    /// Jobs that were not taken.
    pub refused: u64,
    /// Jobs that ran without a permit because none came free in 20 ms.
    pub ran_without_permit: u64,
    /// How long a heavy job would wait if it came now.
    pub predicted_wait: Duration,
    /// Time that all threads together have spent in jobs since the pool was built.
    pub busy: Duration,
    /// Time for which all threads together have existed.
    pub lived: Duration,
    /// Time since the pool was built.
    pub age: Duration,
    /// From submit to the moment the job began to run.
    pub wait: Distribution,
    /// From that moment to its end.
    pub run: Distribution,
}

impl Metrics {
    /// The share of the threads' time spent in jobs since the pool was built, 0 to 1.
    pub fn utilisation(&self) -> f64 {
        share(self.busy, self.lived)
    }

    /// The share of the threads' time spent in jobs since `earlier`, 0 to 1: for a dashboard that looks once a second.
    pub fn utilisation_since(&self, earlier: &Metrics) -> f64 {
        share(self.busy.saturating_sub(earlier.busy), self.lived.saturating_sub(earlier.lived))
    }
}

fn share(busy: Duration, lived: Duration) -> f64 {
    let lived = lived.as_secs_f64();
    if lived > 0.0 { (busy.as_secs_f64() / lived).min(1.0) } else { 0.0 }
}

/// Ends of jobs. Written by any thread.
#[derive(Default)]
pub(crate) struct Counters {
    completed: AtomicU64,
    panicked: AtomicU64,
    timed_out: AtomicU64,
    cancelled: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, end: End) {
        self.of(end).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, end: End) -> u64 {
        self.of(end).load(Ordering::Relaxed)
    }

    fn of(&self, end: End) -> &AtomicU64 {
        match end {
            End::Completed => &self.completed,
            End::Panicked => &self.panicked,
            End::TimedOut => &self.timed_out,
            End::Cancelled => &self.cancelled,
            End::Refused => &self.refused,
        }
    }
}

/// What one thread records; nobody else writes to it.
pub(crate) struct ThreadRecord {
    pub(crate) wait: Histogram,
    pub(crate) run: Histogram,
    busy_nanos: AtomicU64,
    /// Nanoseconds from the pool's start to that of the running job, plus 1; 0 while there is none.
    running_since: AtomicU64,
}

impl ThreadRecord {
    pub(crate) fn new() -> ThreadRecord {
        ThreadRecord {
            wait: Histogram::new(),
            run: Histogram::new(),
            busy_nanos: AtomicU64::new(0),
            running_since: AtomicU64::new(0),
        }
    }

    /// The thread has a job since `started`; it waited so long.
    pub(crate) fn begin(&self, started: Nanos, waited: Nanos) {
        self.wait.record(waited);
        // Before the thread looks whether the keeper of deadlines must wake up earlier: see `Keeper::note`.
        self.running_since.store(started.saturating_add(1), Ordering::SeqCst);
    }

    pub(crate) fn end(&self, ran: Nanos) {
        self.run.record(ran);
        add(&self.busy_nanos, ran);
        // Before the thread gives its job back, under a lock: nobody takes it for the start of the next one.
        self.running_since.store(0, Ordering::Release);
    }

    /// When the running job began, if there is one.
    pub(crate) fn running_since(&self) -> Option<Nanos> {
        self.running_since.load(Ordering::SeqCst).checked_sub(1)
    }

    /// Time spent in jobs up to now, the running one included.
    pub(crate) fn busy(&self, now: Nanos) -> Duration {
        let running = self.running_since().map_or(0, |since| now.saturating_sub(since));
        Duration::from_nanos(self.busy_nanos.load(Ordering::Relaxed).saturating_add(running))
    }
}
