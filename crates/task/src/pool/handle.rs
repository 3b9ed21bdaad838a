//! [`ProcessPool`]: the handle.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use phalanx_thread::Leftover as Left;

use crate::pool::{Builder, PoolError, PoolMetrics};
use crate::{Confinement, Executor, Refusal, Submission, SubmitOptions, Task, TaskId};

/// What a drain did not finish in its time.
pub type Leftover = Left;

/// Job processes for work that may crash, hang, or is not to be trusted.
///
/// Cheap to clone; when the last clone is dropped, tasks that wait are [refused](Refusal::ShuttingDown), those that run are
/// cancelled, and the processes are killed.
#[derive(Clone)]
pub struct ProcessPool {}

impl ProcessPool {
    /// Settings to start from.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn build(builder: Builder) -> Result<ProcessPool, PoolError> {
        let _size = builder.checked()?;
        Err(PoolError::Start { reason: "the pool is being written".to_owned() })
    }

    /// Lets in a task of this cost that is submitted a little later: a check before the body of a request is even read. What was
    /// let in counts as waiting until the [`Admission`] is dropped, but for a quarter of a second at most.
    pub fn admit(&self, cost: Duration) -> Result<Admission, Refusal> {
        let _ = cost;
        Ok(Admission {})
    }

    /// How long a heavy task would wait for a process if it came now: zero while one is free.
    pub fn predicted_wait(&self) -> Duration {
        Duration::ZERO
    }

    /// What the pool has done and does.
    pub fn metrics(&self) -> PoolMetrics {
        unreachable!("no pool can be built yet")
    }

    /// What the processes are truly denied, as they said themselves before their first task: one entry per sandbox level that
    /// has had a process.
    pub fn confinement(&self) -> Vec<Confinement> {
        Vec::new()
    }

    /// Stops taking tasks, at once; ready when all that were taken are done and the processes have ended, or after
    /// `within`, when those that still wait are refused and those that run are killed.
    pub fn drain(&self, within: Duration) -> Drain {
        let _ = within;
        Drain {}
    }

    /// As [`drain`](ProcessPool::drain), but blocks the calling thread.
    pub fn drain_blocking(&self, within: Duration) -> Leftover {
        let _ = within;
        Leftover { queued: 0, running: 0 }
    }
}

impl Executor for ProcessPool {
    fn submit_with<T: Task>(&self, _task: T, _options: SubmitOptions) -> Submission<T::Output> {
        Submission::failed(TaskId::next(), Refusal::ShuttingDown)
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool").finish_non_exhaustive()
    }
}

/// Work that was let in by [`ProcessPool::admit`]. Drop it right before the task is submitted, or when it will not be.
#[derive(Debug)]
#[must_use = "work counts as let in only while this lives"]
pub struct Admission {}

/// A pool that drains; made by [`ProcessPool::drain`].
#[derive(Debug)]
#[must_use = "the pool drains anyway, but only the awaited future ends it at its deadline"]
pub struct Drain {}

impl Future for Drain {
    type Output = Leftover;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Leftover> {
        Poll::Ready(Leftover { queued: 0, running: 0 })
    }
}
