//! [`JobContext`]: what a running job is told, and what it may reuse.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::line::{NEVER, Nanos};
use crate::pool::error::{JobError, Phase};
use crate::pool::init;
use crate::pool::job::Job;

/// Given to every job while it runs: whether to go on, until when, and scratch memory of the thread.
///
/// A thread cannot be stopped from outside. A job that runs for long asks [`is_cancelled`](JobContext::is_cancelled)
/// now and then (every 100 µs is plenty: it costs about 30 ns) and returns; that is how a deadline really ends it.
#[derive(Clone)]
pub struct JobContext {
    pub(crate) job: Job,
    deadline: Nanos,
}

impl JobContext {
    pub(crate) fn new(job: Job, started: Nanos) -> JobContext {
        let deadline = job.0.ticket().deadline(started);
        JobContext { job, deadline }
    }

    /// Whether to stop: the caller is gone, a deadline passed, or the pool was given up. What the job returns after
    /// that is dropped.
    ///
    /// ```
    /// use phalanx_thread::{JobError, Phase, ThreadPool};
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let pool = ThreadPool::builder().threads(1).build().unwrap();
    /// let endless = pool.job().deadline_from_start(Duration::from_millis(20)).spawn(|cx| {
    ///     while !cx.is_cancelled() {
    ///         std::hint::spin_loop();
    ///     }
    /// });
    /// assert_eq!(endless.await, Err(JobError::TimedOut(Phase::Run)));
    /// # });
    /// ```
    pub fn is_cancelled(&self) -> bool {
        let core = self.job.0.core();
        let is_late = || self.deadline != NEVER && core.keeper.now() >= self.deadline;
        self.job.0.ticket().is_stopped() || core.given_up.load(Ordering::Relaxed) || is_late()
    }

    /// When the job has to be done: the earlier of its two deadlines, if it has any.
    pub fn deadline(&self) -> Option<Instant> {
        let after = (self.deadline != NEVER).then(|| Duration::from_nanos(self.deadline))?;
        self.job.0.core().started.checked_add(after)
    }

    /// Lends the job what its thread made with [`Builder::init`](crate::Builder::init): a decoder, a connection.
    /// `None` if that makes no `S`, and inside itself.
    ///
    /// A state whose user panicked is thrown away; the thread makes a new one before its next job.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::convert::Infallible;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dictionary = || Ok::<_, Infallible>(HashMap::from([("one", 1), ("two", 2)]));
    /// let pool = phalanx_thread::ThreadPool::builder().threads(2).init(dictionary).build().unwrap();
    /// let two = pool.spawn(|cx| cx.with_state(|words: &mut HashMap<&str, i32>| words["two"]));
    /// assert_eq!(two.await, Ok(Some(2)));
    /// # });
    /// ```
    pub fn with_state<S: 'static, R>(&self, job: impl FnOnce(&mut S) -> R) -> Option<R> {
        init::with_state(job)
    }

    /// Lends the job a value that belongs to its thread: made by `Default` the first time, reused by later jobs of the
    /// same thread with the same type. For buffers that are dear to make.
    ///
    /// A value whose user panicked is thrown away. Inside, a second call with the same type gets a fresh value.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let pool = phalanx_thread::ThreadPool::builder().threads(1).build().unwrap();
    /// let grow = || pool.spawn(|cx| cx.with_scratch(|buffer: &mut Vec<u8>| {
    ///     buffer.resize(buffer.len() + 10, 0);
    ///     buffer.len()
    /// }));
    /// assert_eq!((grow().await, grow().await), (Ok(10), Ok(20)));
    /// # });
    /// ```
    pub fn with_scratch<S: Default + 'static, R>(&self, job: impl FnOnce(&mut S) -> R) -> R {
        init::with_scratch(job)
    }

    /// Runs something that blocks (a read, a lock, another job's result) without holding a core's permit meanwhile.
    /// Without permits it just calls `blocking`.
    pub fn wait<R>(&self, blocking: impl FnOnce() -> R) -> R {
        match &self.job.0.core().share {
            Some(share) => share.outside(blocking),
            None => blocking(),
        }
    }

    /// The error of a job that returned at `ended`, after it should have stopped.
    pub(crate) fn why_stopped(&self, ended: Nanos) -> Option<JobError> {
        if ended >= self.deadline {
            Some(JobError::TimedOut(Phase::Run))
        } else if self.job.0.core().given_up.load(Ordering::Relaxed) {
            Some(JobError::Cancelled)
        } else {
            None
        }
    }
}

impl fmt::Debug for JobContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobContext")
            .field("deadline", &self.deadline())
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}
