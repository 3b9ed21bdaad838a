//! [`ThreadPool`]: the handle.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::pool::admission::Admission;
use crate::pool::builder::Builder;
use crate::pool::context::JobContext;
use crate::pool::core::Core;
use crate::pool::deadlines::{Alarm, AlarmKey};
use crate::pool::error::Refusal;
use crate::pool::job::{Awaited, Cell, End, Job, Ticket, watch};
use crate::pool::metrics::Metrics;
use crate::pool::submission::Submission;
use crate::sync::lock;

/// Longer estimates are taken for this; sums of them stay far from any overflow.
const DEAREST: Duration = Duration::from_secs(24 * 60 * 60);

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
    pub fn submit<T, F>(&self, work: F) -> Submission<T>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.job().submit(work)
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
    ///     .submit(|_| (1..=1000_u64).sum::<u64>());
    /// assert_eq!(sum.await, Ok(500_500));
    /// # });
    /// ```
    pub fn job(&self) -> JobBuilder<'_> {
        JobBuilder { pool: self, cost: None, from_submit: None, from_start: None }
    }

    /// Lets in a job of this cost that is submitted a little later: a check before the body of a request is even read.
    /// What was let in counts as waiting until the [`Admission`] is dropped, but for a quarter of a second at most.
    pub fn admit(&self, cost: Duration) -> Result<Admission, Refusal> {
        let number = self.core().dispatcher.admit(nanos(cost))?;
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
        let deadline = deadline_in(within);
        let as_alarm: Arc<dyn Alarm> = core.clone();
        let alarm = core.deadlines.set(deadline, Arc::downgrade(&as_alarm));
        Drain { core, deadline, alarm }
    }

    /// As [`drain`](ThreadPool::drain), but blocks the calling thread. Not for a thread of this pool.
    pub fn drain_blocking(&self, within: Duration) -> Leftover {
        let core = self.core();
        core.dispatcher.close();
        core.dispatcher.wait_until_ended(deadline_in(within));
        leftover(core)
    }
}

/// Nothing if all threads have ended; else gives up on the rest.
fn leftover(core: &Core) -> Leftover {
    let (queued, running) = if core.dispatcher.alive() == 0 { (0, 0) } else { core.give_up() };
    Leftover { queued, running }
}

fn nanos(cost: Duration) -> u64 {
    // At most a day: fits.
    cost.min(DEAREST).as_nanos() as u64
}

/// A time too far away to be represented is as good as a day.
fn deadline_in(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + DEAREST)
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = self.core().dispatcher.load();
        f.debug_struct("ThreadPool").field("queued", &load.queued).field("running", &load.running).finish()
    }
}

/// A job that is being described; made by [`ThreadPool::job`].
#[derive(Debug, Clone, Copy)]
#[must_use = "nothing happens before submit()"]
pub struct JobBuilder<'p> {
    pool: &'p ThreadPool,
    cost: Option<Duration>,
    from_submit: Option<Duration>,
    from_start: Option<Duration>,
}

impl JobBuilder<'_> {
    /// How long it will probably run, alone on a core. Estimates that are all wrong by the same factor do no harm.
    /// Below 5 ms it takes the lane of cheap jobs.
    pub fn cost(mut self, estimate: Duration) -> Self {
        self.cost = Some(estimate);
        self
    }

    /// The job must be done this long after it was submitted. One that still waits then is dropped unrun.
    pub fn deadline_from_submit(mut self, time: Duration) -> Self {
        self.from_submit = Some(time);
        self
    }

    /// The job must be done this long after it began to run.
    pub fn deadline_from_start(mut self, time: Duration) -> Self {
        self.from_start = Some(time);
        self
    }

    /// Runs `work` on a thread of the pool. A refusal is the submission's result.
    pub fn submit<T, F>(self, work: F) -> Submission<T>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        let core = self.pool.core();
        let now = Instant::now();
        let mut ticket = Ticket::new(self.cost.is_some(), now);
        let deadline = self.from_submit.and_then(|time| now.checked_add(time));
        ticket.deadline_from_submit = deadline;
        ticket.time_from_start = self.from_start;
        let cell: Arc<Cell<F, T>> = Cell::new(ticket, core.clone(), work);
        let job = Job(cell.clone());
        if let Err(refusal) = core.dispatcher.push(&job, self.cost.map(nanos)) {
            core.counters.count(End::Refused);
            return Submission::refused(refusal);
        }
        if let Some(deadline) = deadline {
            watch(&job, deadline);
        }
        let awaited: Arc<dyn Awaited<T>> = cell;
        Submission::taken(awaited)
    }
}

/// A pool that drains; made by [`ThreadPool::drain`].
#[must_use = "the pool drains anyway, but only the awaited future ends it at its deadline"]
pub struct Drain {
    core: Arc<Core>,
    deadline: Instant,
    alarm: AlarmKey,
}

/// What a drain did not finish in its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leftover {
    /// Jobs that never ran; their submissions are refused.
    pub queued: usize,
    /// Jobs that still ran; they were told to stop.
    pub running: usize,
}

impl Future for Drain {
    type Output = Leftover;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Leftover> {
        let mut draining = lock(&self.core.draining);
        if !draining.iter().any(|waker| waker.will_wake(context.waker())) {
            draining.push(context.waker().clone());
        }
        drop(draining);
        // After the waker is in place: a thread that ends now wakes us.
        if self.core.dispatcher.alive() == 0 || Instant::now() >= self.deadline {
            return Poll::Ready(leftover(&self.core));
        }
        Poll::Pending
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.core.deadlines.take_back(self.alarm);
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("deadline", &self.deadline).finish()
    }
}
