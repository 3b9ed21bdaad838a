//! [`JobContext`]: what a running job is told, and what it may reuse.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::pool::error::{JobError, Phase};
use crate::pool::job::Job;

/// Given to every job while it runs: whether to go on, until when, and scratch memory of the thread.
///
/// A thread cannot be stopped from outside. A job that runs for long asks [`is_cancelled`](JobContext::is_cancelled)
/// now and then (every 100 µs is plenty: it costs about 30 ns) and returns; that is how a deadline really ends it.
pub struct JobContext {
    pub(crate) job: Job,
    pub(crate) deadline: Option<Instant>,
}

impl JobContext {
    /// Whether to stop: the caller is gone, a deadline passed, or the pool was given up. What the job returns after
    /// that is dropped.
    ///
    /// ```
    /// use phalanx_thread::{JobError, Phase, ThreadPool};
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let pool = ThreadPool::builder().threads(1).build().unwrap();
    /// let endless = pool.job().deadline_from_start(Duration::from_millis(20)).submit(|cx| {
    ///     while !cx.is_cancelled() {
    ///         std::hint::spin_loop();
    ///     }
    /// });
    /// assert_eq!(endless.await, Err(JobError::TimedOut(Phase::Run)));
    /// # });
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.job.0.ticket().is_stopped() || self.why_stopped().is_some()
    }

    /// When the job has to be done: the earlier of its two deadlines, if it has any.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Lends the job a value that belongs to its thread: made by `Default` the first time, reused by later jobs of the
    /// same thread with the same type. For buffers that are dear to make.
    ///
    /// A value whose user panicked is thrown away. Inside, a second call with the same type gets a fresh value.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let pool = phalanx_thread::ThreadPool::builder().threads(1).build().unwrap();
    /// let grow = || pool.submit(|cx| cx.with_scratch(|buffer: &mut Vec<u8>| {
    ///     buffer.resize(buffer.len() + 10, 0);
    ///     buffer.len()
    /// }));
    /// assert_eq!((grow().await, grow().await), (Ok(10), Ok(20)));
    /// # });
    /// ```
    pub fn with_scratch<S: Default + 'static, R>(&self, job: impl FnOnce(&mut S) -> R) -> R {
        let taken = SCRATCH.with_borrow_mut(|scratch| scratch.remove(&TypeId::of::<S>()));
        let mut scratch = taken.and_then(|any| any.downcast::<S>().ok()).unwrap_or_default();
        let result = job(&mut scratch);
        let replaced = SCRATCH.with_borrow_mut(|all| all.insert(TypeId::of::<S>(), scratch));
        drop(replaced);
        result
    }

    /// Runs something that blocks (a read, a lock, another job's result) without holding a core's permit meanwhile.
    /// Without permits it just calls `blocking`.
    pub fn wait<R>(&self, blocking: impl FnOnce() -> R) -> R {
        match &self.job.0.core().share {
            Some(share) => share.outside(blocking),
            None => blocking(),
        }
    }

    /// The error of a job that returned after it should have stopped.
    pub(crate) fn why_stopped(&self) -> Option<JobError> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
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
        f.debug_struct("JobContext").field("deadline", &self.deadline).field("cancelled", &self.is_cancelled()).finish()
    }
}

thread_local! {
    static SCRATCH: RefCell<HashMap<TypeId, Box<dyn Any>>> = RefCell::new(HashMap::new());
}
