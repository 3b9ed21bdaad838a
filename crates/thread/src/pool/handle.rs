//! [`ThreadPool`]: the handle.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::line::{DEAREST, Priority, Refusal, cost_of};
use crate::pool::admission::Admission;
use crate::pool::builder::Builder;
use crate::pool::cancellation::Cancellation;
use crate::pool::context::JobContext;
use crate::pool::core::Core;
use crate::pool::drain::{Drain, Leftover};
use crate::pool::error::JobError;
use crate::pool::map::Map;
use crate::pool::metrics::Metrics;
use crate::pool::scope::{self, Scope};
use crate::pool::submission::Submission;
use crate::pool::terms::Terms;

/// Threads for work that burns a processor, beside an event loop that must not.
///
/// Cheap to clone; when the last clone is dropped, jobs that wait are [refused](Refusal::ShuttingDown), running ones
/// see [`is_cancelled`](JobContext::is_cancelled), and the threads end by themselves (nobody waits for them: see
/// [`drain`](ThreadPool::drain)).
#[derive(Clone)]
pub struct ThreadPool {
    handle: Arc<Handle>,
}

struct Handle {
    core: Arc<Core>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.give_up();
    }
}

impl ThreadPool {
    /// Settings to start from.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(core: Arc<Core>) -> ThreadPool {
        ThreadPool { handle: Arc::new(Handle { core }) }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// Runs `work` on a thread of the pool. Its cost is taken to be what such jobs took lately.
    pub fn spawn<T, F>(&self, work: F) -> Submission<T>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.job().spawn(work)
    }

    /// A job with an estimate or deadlines.
    ///
    /// ```
    /// use phalanx_thread::ThreadPool;
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let pool = ThreadPool::builder().build().unwrap();
    /// let sum = pool
    ///     .job()
    ///     .cost(Duration::from_millis(3))
    ///     .deadline_from_submit(Duration::from_secs(10))
    ///     .spawn(|_| (1..=1000_u64).sum::<u64>());
    /// assert_eq!(sum.await, Ok(500_500));
    /// # });
    /// ```
    pub fn job(&self) -> JobBuilder<'_> {
        JobBuilder { pool: self, terms: Terms::default() }
    }

    /// Submits many jobs at once: one lock, and as many threads woken as are needed. Each has its own result; what does
    /// not fit into the queue any more is refused job by job, the others run.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let pool = phalanx_thread::ThreadPool::builder().build().unwrap();
    /// let squares = pool.spawn_many((1..=3_u32).map(|n| move |_: &_| n * n));
    /// let mut sum = 0;
    /// for square in squares {
    ///     sum += square.await.unwrap();
    /// }
    /// assert_eq!(sum, 14);
    /// # });
    /// ```
    pub fn spawn_many<T, F>(&self, works: impl IntoIterator<Item = F>) -> Vec<Submission<T>>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.job().spawn_many(works)
    }

    /// Runs `work` for each of the items, however many: results come in the order of the items, a bounded number is in
    /// flight, and no item is taken before there is room for it. See [`Map`].
    pub fn map<I, F, T>(&self, items: I, work: F) -> Map<I::IntoIter, F, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(&JobContext, I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.job().map(items, work)
    }

    /// Jobs that may borrow: blocks until all that `body` submitted are over. See [`Scope`].
    pub fn scope<'env, R>(
        &self,
        body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    ) -> Result<R, JobError> {
        self.job().scope(body)
    }

    /// Lets in a job of this cost that is submitted a little later: a check before the body of a request is even read.
    /// What was let in counts as waiting until the [`Admission`] is dropped, but for a quarter of a second at most.
    pub fn admit(&self, cost: Duration) -> Result<Admission, Refusal> {
        let number = self.core().dispatcher.admit(cost_of(cost))?;
        Ok(Admission::new(self.core().clone(), number))
    }

    /// How long a heavy job would wait for a thread if it came now: zero while one is free, else the cost of all that
    /// waits and half of what runs, divided by the measured speed.
    pub fn predicted_wait(&self) -> Duration {
        self.core().dispatcher.predicted_wait(None)
    }

    /// What the pool has done and does.
    pub fn metrics(&self) -> Metrics {
        self.core().metrics()
    }

    /// Stops taking jobs, at once; ready when all that were taken are done and the threads have ended, or after
    /// `within`, when those that still wait are refused and those that run are told to stop.
    ///
    /// To drop the future before it is ready changes nothing: the pool goes on draining, without an end.
    pub fn drain(&self, within: Duration) -> Drain {
        let core = self.core().clone();
        core.dispatcher.close();
        Drain::new(core, deadline_in(within))
    }

    /// As [`drain`](ThreadPool::drain), but blocks the calling thread. Not for a thread of this pool.
    pub fn drain_blocking(&self, within: Duration) -> Leftover {
        let core = self.core();
        core.dispatcher.close();
        core.dispatcher.wait_until_ended(deadline_in(within));
        Leftover::of(core)
    }
}

/// A time too far away to be represented is as good as a day.
fn deadline_in(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + DEAREST)
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = self.core().dispatcher.load();
        f.debug_struct("ThreadPool")
            .field("threads", &load.threads)
            .field("queued", &load.queued)
            .field("running", &load.running)
            .finish()
    }
}

/// A job that is being described; made by [`ThreadPool::job`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before spawn()"]
pub struct JobBuilder<'p> {
    pool: &'p ThreadPool,
    terms: Terms,
}

impl JobBuilder<'_> {
    /// How long it will probably run, alone on a core. Estimates that are all wrong by the same factor do no harm.
    /// Below 5 ms it takes the lane of cheap jobs.
    pub fn cost(mut self, estimate: Duration) -> Self {
        self.terms.cost = Some(estimate);
        self
    }

    /// Who goes first. Default [`Priority::DEFAULT`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.terms.priority = priority;
        self
    }

    /// The job must be done this long after it was submitted. One that still waits then is dropped unrun. The caller is
    /// told within about a millisecond, also while every thread is stuck.
    pub fn deadline_from_submit(mut self, time: Duration) -> Self {
        self.terms.from_submit = Some(time);
        self
    }

    /// The job must be done this long after it began to run.
    pub fn deadline_from_start(mut self, time: Duration) -> Self {
        self.terms.from_start = Some(time);
        self
    }

    /// The job ends when this is said, with many others perhaps.
    pub fn cancelled_by(mut self, cancellation: &Cancellation) -> Self {
        self.terms.cancelled_by = Some(cancellation.clone());
        self
    }

    /// Runs `work` on a thread of the pool. A refusal is the submission's result.
    pub fn spawn<T, F>(self, work: F) -> Submission<T>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.terms.spawn(self.pool.core(), None, work)
    }

    /// As [`spawn`](JobBuilder::spawn), but only if no job of this pool with the same idempotency key is under way: else
    /// it is refused as a [`Duplicate`](Refusal::Duplicate). The key is free again when the job has a result, was dropped
    /// unrun, or has returned after it was told to stop.
    ///
    /// ```
    /// use phalanx_thread::{JobError, Refusal, ThreadPool};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let pool = ThreadPool::builder().build().unwrap();
    /// let (open, opened) = std::sync::mpsc::channel::<()>();
    /// let first = pool.job().spawn_once("invoice 7", move |_| opened.recv().is_ok());
    /// let second = pool.job().spawn_once("invoice 7", |_| unreachable!("never runs"));
    /// assert_eq!(second.await, Err::<(), _>(JobError::Refused(Refusal::Duplicate)));
    /// open.send(()).unwrap();
    /// assert_eq!(first.await, Ok(true));
    /// # });
    /// ```
    pub fn spawn_once<T, F>(self, key: &str, work: F) -> Submission<T>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.terms.spawn_once(self.pool.core(), key, work)
    }

    /// As [`ThreadPool::spawn_many`], each on these terms.
    pub fn spawn_many<T, F>(self, works: impl IntoIterator<Item = F>) -> Vec<Submission<T>>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.terms.spawn_many(self.pool.core(), works)
    }

    /// As [`ThreadPool::map`], each on these terms.
    pub fn map<I, F, T>(self, items: I, work: F) -> Map<I::IntoIter, F, T>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(&JobContext, I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Map::new(self.pool.clone(), self.terms, items.into_iter(), work)
    }

    /// As [`ThreadPool::scope`], each job on these terms.
    pub fn scope<'env, R>(
        self,
        body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    ) -> Result<R, JobError> {
        scope::run(self.pool.core(), self.terms, body)
    }
}
