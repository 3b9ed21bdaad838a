//! Ours. Its histograms of wait and run time are always on.

use std::time::Duration;

use measuring::{During, Failure};
use phalanx_thread::ThreadPool;

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
        self.0.submit(|_| work()).await.during("run a job")
    }
}

/// Jobs with a deadline from submit, one from start, and a priority.
pub(super) struct Full(ThreadPool);

impl Full {
    pub(super) fn new() -> Result<Self, Failure> {
        pool().map(Self)
    }
}

impl Pool for Full {
    async fn run(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let job = self.0.job().deadline_from_submit(DEADLINE).deadline_from_start(DEADLINE);
        job.submit(|_| work()).await.during("run a job")
    }
}

fn pool() -> Result<ThreadPool, Failure> {
    ThreadPool::builder().threads(1).queue_limit(QUEUED_AT_MOST).build().during("build the pool")
}
