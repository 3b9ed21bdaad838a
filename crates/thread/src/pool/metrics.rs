//! [`Metrics`]: what a pool has done and does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
    /// Threads of the pool.
    pub threads: usize,
    /// Jobs that wait for a thread.
    pub queued: usize,
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
        share(self.busy, self.age, self.threads)
    }

    /// The share of the threads' time spent in jobs since `earlier`, 0 to 1: for a dashboard that looks once a second.
    pub fn utilisation_since(&self, earlier: &Metrics) -> f64 {
        share(self.busy.saturating_sub(earlier.busy), self.age.saturating_sub(earlier.age), self.threads)
    }
}

fn share(busy: Duration, age: Duration, threads: usize) -> f64 {
    let possible = age.as_secs_f64() * threads as f64;
    if possible > 0.0 { (busy.as_secs_f64() / possible).min(1.0) } else { 0.0 }
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

    pub(crate) fn begin(&self, since_start: Duration, waited: Duration) {
        self.wait.record(waited);
        self.running_since.store(nanos(since_start) + 1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, ran: Duration) {
        self.run.record(ran);
        add(&self.busy_nanos, nanos(ran));
        self.running_since.store(0, Ordering::Relaxed);
    }

    /// Time spent in jobs up to now, the running one included.
    pub(crate) fn busy(&self, pool_started: Instant) -> Duration {
        let running = match self.running_since.load(Ordering::Relaxed) {
            0 => 0,
            since => nanos(pool_started.elapsed()).saturating_sub(since - 1),
        };
        Duration::from_nanos(self.busy_nanos.load(Ordering::Relaxed) + running)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}
