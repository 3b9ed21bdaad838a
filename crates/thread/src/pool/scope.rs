//! [`Scope`]: jobs that borrow from the stack of the thread that waits for them.
//!
//! The only unsafe code of the pool: a closure that borrows is given to a queue which takes none that does. What makes
//! it sound is one counter: [`run`] neither returns nor unwinds before every such closure was run or dropped, and
//! nothing that a caller holds, drops or forgets has a say in that.

use std::cell::Cell as Slot;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use crate::pool::context::JobContext;
use crate::pool::core::Core;
use crate::pool::error::{JobError, Phase};
use crate::pool::job::{Awaited, Cell, Job, Queued};
use crate::pool::terms::Terms;
use crate::sync::lock;

type Borrowing<'scope> = Box<dyn FnOnce(&JobContext) + Send + 'scope>;
/// A borrowing closure in its cell, whose type hides what it borrows.
type Hidden = Cell<Borrowing<'static>, ()>;

/// Where jobs that may borrow are submitted; made by [`ThreadPool::scope`](crate::ThreadPool::scope).
///
/// `scope` blocks its thread, so it is for a thread of its own or for a job, not for an event loop. It returns when all
/// its jobs are over: `Ok` with what the body returned, or the error of a job that nobody [joined](ScopedJob::join). If
/// the body panics, the panic goes on after that.
///
/// From a job of the same pool it cannot deadlock, also with one thread: the thread runs those of its jobs itself that no
/// other has begun, and lends its [permit](crate::Builder::permits) out while it waits for the rest. A full queue holds a
/// submit up, or lets the pool's thread run the job at once; nothing is refused for lack of room.
///
/// ```
/// let pool = phalanx_thread::ThreadPool::builder().threads(2).build().unwrap();
/// let numbers: Vec<u64> = (1..=1000).collect();
/// let sum = pool.scope(|scope| {
///     let halves = numbers.split_at(500);
///     let first = scope.spawn(move |_| halves.0.iter().sum::<u64>());
///     let second = scope.spawn(move |_| halves.1.iter().sum::<u64>());
///     Ok::<_, phalanx_thread::JobError>(first.join()? + second.join()?)
/// });
/// assert_eq!(sum, Ok(Ok(500_500)));
/// ```
///
/// What lives inside of the body only cannot be borrowed, and no job leaves the scope:
///
/// ```compile_fail,E0373
/// # let pool = phalanx_thread::ThreadPool::builder().threads(1).build().unwrap();
/// pool.scope(|scope| {
///     let inside = 1;
///     scope.spawn(|_| println!("{inside}"));
/// });
/// ```
/// ```compile_fail
/// # let pool = phalanx_thread::ThreadPool::builder().threads(1).build().unwrap();
/// let job = pool.scope(|scope| scope.spawn(|_| 1));
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    core: Arc<Core>,
    terms: Terms,
    tally: Arc<Tally>,
    /// Invariant, as in the standard library's scope: nobody may shorten or lengthen them.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// A job of a [`Scope`]. Dropping it does not cancel the job.
pub struct ScopedJob<'scope, T> {
    core: Arc<Core>,
    entered: Arc<Entered>,
    result: Arc<Mutex<Option<T>>>,
    scope: PhantomData<&'scope mut &'scope ()>,
}

struct Entered {
    job: Arc<Hidden>,
    joined: AtomicBool,
}

/// What must be over before the scope is.
#[derive(Default)]
struct Tally {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Closures that exist.
    closures: usize,
    /// Jobs that may wait still, or whose error nobody knows yet.
    entered: Vec<Arc<Entered>>,
    /// How many have ever entered.
    entries: u64,
    sweep_at: usize,
    failed: Option<JobError>,
}

/// Sweeping fewer is not worth the walk.
const FEWEST_SWEPT: usize = 64;

/// Counts one closure as long as it lives.
struct Counted(Arc<Tally>);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.closures -= 1;
        if state.closures == 0 {
            self.0.changed.notify_all();
        }
    }
}

/// A closure with its result's place. Dropped unrun, its fields go in this order, so that it is counted until nothing
/// that may borrow is left.
struct Work<F, T> {
    work: F,
    result: Arc<Mutex<Option<T>>>,
    counted: Counted,
}

impl<F: FnOnce(&JobContext) -> T, T> Work<F, T> {
    fn run(self, context: &JobContext) {
        // Locals are dropped in reverse order: the count goes last, also when the closure panics.
        let _counted = self.counted;
        let place = self.result;
        let work = self.work;
        let result = work(context);
        lock(&place).replace(result);
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Runs `work` on a thread of the pool; it may borrow whatever outlives the scope.
    pub fn spawn<F, T>(&'scope self, work: F) -> ScopedJob<'scope, T>
    where
        F: FnOnce(&JobContext) -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let result = Arc::new(Mutex::new(None));
        lock(&self.tally.state).closures += 1;
        let work = Work { work, result: result.clone(), counted: Counted(self.tally.clone()) };
        let work: Borrowing<'scope> = Box::new(move |context| work.run(context));
        // SAFETY: only the lifetime changes. What the closure borrows lives for 'scope, which does not end before `run`
        // returns or unwinds; and `run` waits until `closures` is 0, which is to say until this closure was consumed by
        // running it or was dropped: its `Counted` is the last of it to go in both cases, and lies inside of it, out of
        // reach of anybody who could forget it. The type of the result, which may borrow too, is in nothing else but
        // the closure and the `ScopedJob`, which itself lives for 'scope at most.
        let work = unsafe { std::mem::transmute::<Borrowing<'scope>, Borrowing<'static>>(work) };
        let job = self.terms.draw_up(&self.core, Instant::now(), work);
        let entered = Arc::new(Entered { job: job.clone(), joined: AtomicBool::new(false) });
        self.push(&job);
        // After it is in the queue: whoever waits for the end takes it out of there.
        self.tally.enter(entered.clone());
        ScopedJob { core: self.core.clone(), entered, result, scope: PhantomData }
    }

    fn push(&self, job: &Arc<Hidden>) {
        let queued = Job(job.clone());
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match self.core.dispatcher.push_or_wait(&queued, self.terms.cost(), Instant::now(), &waker) {
                Ok(call) => return self.terms.has_been_taken(&self.core, &queued, call),
                // It belongs to a job that was taken: that one shall finish, whatever the queue says.
                Err(_) if self.core.worker_here().is_some() => return run_here(&self.core, job),
                Err(error) if error.is_for_now() && !self.terms.is_cancelled() => thread::park(),
                Err(error) => return job.clone().stop(error),
            }
        }
    }

    /// Returns when no closure is left; the error that nobody has asked for.
    fn end(&self) -> Option<JobError> {
        self.help();
        match &self.core.share {
            Some(share) if self.core.worker_here().is_some() => share.outside(|| self.wait()),
            _ => self.wait(),
        }
        // Now nobody else waits for any of them.
        let mut state = lock(&self.tally.state);
        let left = std::mem::take(&mut state.entered);
        let mut failed = state.failed.take();
        drop(state);
        for entered in left {
            if !entered.joined.load(Ordering::Acquire)
                && let Err(error) = block_on(&entered.job)
            {
                failed.get_or_insert(error);
            }
        }
        failed
    }

    fn wait(&self) {
        let mut state = lock(&self.tally.state);
        let mut helped_until = 0;
        while state.closures > 0 {
            if state.entries > helped_until {
                // Perhaps a job of the scope has submitted it, and no thread is left for it but this.
                helped_until = state.entries;
                drop(state);
                self.help();
                state = lock(&self.tally.state);
            } else {
                state = self.tally.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// On a thread of the pool: runs what no other has begun.
    fn help(&self) {
        if self.core.worker_here().is_none() {
            return;
        }
        let entered = lock(&self.tally.state).entered.clone();
        entered.iter().for_each(|entered| run_if_it_waits(&self.core, &entered.job));
    }
}

impl Tally {
    fn enter(&self, entered: Arc<Entered>) {
        let mut state = lock(&self.state);
        if state.entered.len() >= state.sweep_at {
            state.sweep();
        }
        state.entered.push(entered);
        state.entries += 1;
        // Whoever waits for the end may have to run it.
        self.changed.notify_all();
    }
}

impl State {
    /// Forgets those that are over and whose handles are gone.
    fn sweep(&mut self) {
        let mut failed = None;
        self.entered.retain(|entered| {
            let is_wanted = Arc::strong_count(entered) > 1 || !entered.job.ticket().is_over();
            if !is_wanted
                && !entered.joined.load(Ordering::Acquire)
                && let Err(error) = block_on(&entered.job)
            {
                failed.get_or_insert(error);
            }
            is_wanted
        });
        self.failed = self.failed.take().or(failed);
        self.sweep_at = (self.entered.len() * 2).max(FEWEST_SWEPT);
    }
}

impl<T> ScopedJob<'_, T> {
    /// Blocks until the job is over; its result or its error.
    pub fn join(self) -> Result<T, JobError> {
        run_if_it_waits(&self.core, &self.entered.job);
        let ended = match &self.core.share {
            Some(share) if self.core.worker_here().is_some() && !self.is_finished() => {
                share.outside(|| block_on(&self.entered.job))
            }
            _ => block_on(&self.entered.job),
        };
        self.entered.joined.store(true, Ordering::Release);
        ended?;
        lock(&self.result).take().ok_or(JobError::Cancelled)
    }

    /// Whether [`join`](ScopedJob::join) would not block.
    pub fn is_finished(&self) -> bool {
        self.entered.job.ticket().is_over()
    }
}

/// As [`ThreadPool::scope`](crate::ThreadPool::scope).
pub(crate) fn run<'env, R>(
    core: &Arc<Core>,
    terms: Terms,
    body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
) -> Result<R, JobError> {
    let tally = Arc::new(Tally::default());
    let scope = Scope { core: core.clone(), terms, tally, scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    let never_unwind = AbortOnUnwind;
    let failed = scope.end();
    std::mem::forget(never_unwind);
    let result = result.unwrap_or_else(|payload| resume_unwind(payload));
    failed.map_or(Ok(result), Err)
}

/// To leave while closures borrow what is about to go would be worse than to end.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks until the job is over. Only one thread may wait for a job.
fn block_on(job: &Arc<Hidden>) -> Result<(), JobError> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match job.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

/// On a thread of the pool: runs the job if it still waits in the queue.
fn run_if_it_waits(core: &Arc<Core>, job: &Arc<Hidden>) {
    if core.worker_here().is_some() && core.dispatcher.withdraw(&Job(job.clone())) {
        run_here(core, job);
    }
}

/// Runs a job, which is not in the queue, inside of the job that this thread of the pool runs.
fn run_here(core: &Arc<Core>, job: &Arc<Hidden>) {
    let Some(worker) = core.worker_here() else { return };
    let started = core.keeper.now();
    if job.ticket().due <= started {
        job.clone().stop(JobError::TimedOut(Phase::Queue));
    }
    let context = JobContext::new(Job(job.clone()), started);
    let (_, ended) = job.run(&context);
    let record = core.record(worker);
    record.wait.record(started.saturating_sub(job.ticket().submitted));
    record.run.record(ended.saturating_sub(started));
    job.complete();
}

thread_local! {
    /// Of a thread of a pool: the address of the pool's core, and the thread's number.
    static HOME: Slot<Option<(usize, usize)>> = const { Slot::new(None) };
}

/// This thread belongs to this pool from now on.
pub(crate) fn enter_pool(core: &Arc<Core>, worker: usize) {
    HOME.set(Some((Arc::as_ptr(core).addr(), worker)));
}

impl Core {
    /// The number of the thread that asks, if it is one of this pool.
    fn worker_here(self: &Arc<Self>) -> Option<usize> {
        HOME.get().filter(|(core, _)| *core == Arc::as_ptr(self).addr()).map(|(_, worker)| worker)
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("unfinished", &lock(&self.tally.state).closures).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ScopedJob<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJob").field("finished", &self.is_finished()).finish()
    }
}
