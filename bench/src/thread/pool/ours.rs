//! Ours. Its histograms of wait and run time are always on.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use measuring::{During, Failure};
use phalanx_thread::{Priority, ThreadPool};

use super::{Pool, QUEUED_AT_MOST};

/// Far enough that no job meets it; near enough to be watched as any other.
const DEADLINE: Duration = Duration::from_secs(10);

/// Jobs without any wish.
pub(super) struct Plain(ThreadPool);

impl Plain {
    pub(super) fn new() -> Result<Self, Failure> {
        pool().map(Self)
    }
}

impl Pool for Plain {
    async fn run(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        self.0.spawn(|_| work()).await.during("run a job")
    }
}

/// Jobs with a deadline from submit, one from start, and a priority: each in turn.
pub(super) struct Full {
    pool: ThreadPool,
    submitted: AtomicU8,
}

impl Full {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self { pool: pool()?, submitted: AtomicU8::new(0) })
    }

    /// Only one thread submits: a relaxed load and store count as a fetch_add would.
    fn next_priority(&self) -> Priority {
        let submitted = self.submitted.load(Ordering::Relaxed);
        self.submitted.store(submitted.wrapping_add(1), Ordering::Relaxed);
        Priority::new(submitted % Priority::COUNT as u8)
    }
}

impl Pool for Full {
    async fn run(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let job = self.pool.job().priority(self.next_priority());
        let job = job.deadline_from_submit(DEADLINE).deadline_from_start(DEADLINE);
        job.spawn(|_| work()).await.during("run a job")
    }
}

fn pool() -> Result<ThreadPool, Failure> {
    ThreadPool::builder().threads(1).queue_limit(QUEUED_AT_MOST).build().during("build the pool")
}
