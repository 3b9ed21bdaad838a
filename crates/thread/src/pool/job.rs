//! One job from spawn to result: the closure, then the result, in one allocation shared by the queue and the caller.
//!
//! ```text
//!   Queued(closure) ──► Running ──► Ran(result) ──► Done(result) ──► Spent
//!        └────────────────┴───────────┴── stopped (cancelled, too late) ──► Halted ──► Done(error)
//! ```
//!
//! Between `Ran` and `Done` the thread counts the job as finished, so that whoever is woken by the result finds a free
//! thread. Nothing of the user's (closure, result, waker) is run or dropped under the lock, and no panic of its
//! destructors goes further.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use crate::line::{Key, KeyInUse, NEVER, Nanos, Priority};
use crate::panic;
use crate::pool::context::JobContext;
use crate::pool::core::Core;
use crate::pool::entry::Entry;
use crate::pool::error::{JobError, Phase};
use crate::sync::lock;

/// What the pool knows of a job without knowing its types.
pub(crate) struct Ticket {
    /// Both are written once, under the lock of the line.
    cost: AtomicU64,
    key: AtomicU64,
    priority: Priority,
    /// Whether the caller gave the cost.
    pub(crate) estimated: bool,
    pub(crate) submitted: Nanos,
    /// The deadline from submit.
    pub(crate) due: Nanos,
    pub(crate) time_from_start: Nanos,
    stopped: AtomicBool,
    /// Set once its caller can have the result.
    over: AtomicBool,
}

impl Ticket {
    pub(crate) fn new(
        priority: Priority,
        estimated: bool,
        submitted: Nanos,
        due: Nanos,
        time_from_start: Nanos,
    ) -> Ticket {
        Ticket {
            cost: AtomicU64::new(0),
            key: AtomicU64::new(Key::NOWHERE.to_bits()),
            priority,
            estimated,
            submitted,
            due,
            time_from_start,
            stopped: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }

    /// What it counts for in nanoseconds, once it has been in the line.
    pub(crate) fn cost(&self) -> u64 {
        self.cost.load(Ordering::Relaxed)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// The earlier of both deadlines for a job that began at `started`.
    pub(crate) fn deadline(&self, started: Nanos) -> Nanos {
        self.due.min(started.saturating_add(self.time_from_start))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// A job in the queue.
#[derive(Clone)]
pub(crate) struct Job(pub(crate) Arc<dyn Queued>);

impl Entry for Job {
    fn priority(&self) -> Priority {
        self.0.ticket().priority
    }

    fn due_in_queue(&self) -> Nanos {
        self.0.ticket().due
    }

    fn due_on_thread(&self, started: Option<Nanos>) -> Nanos {
        let ticket = self.0.ticket();
        match started {
            _ if ticket.is_stopped() => NEVER,
            Some(started) => ticket.deadline(started),
            None => ticket.due,
        }
    }

    fn has_deadline(&self) -> bool {
        let ticket = self.0.ticket();
        ticket.due != NEVER || ticket.time_from_start != NEVER
    }

    fn stands_at(&self, key: Key, cost: u64) {
        let ticket = self.0.ticket();
        ticket.cost.store(cost, Ordering::Relaxed);
        ticket.key.store(key.to_bits(), Ordering::Relaxed);
    }

    fn key(&self) -> Key {
        Key::from_bits(self.0.ticket().key.load(Ordering::Relaxed))
    }

    fn is(&self, other: &Job) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How a run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It was stopped before it began.
    Never,
    /// To its end.
    Whole,
    /// It panicked, or nobody wants the result any more.
    Cut,
}

/// How a job ended: each ends in exactly one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Panicked,
    TimedOut,
    Cancelled,
    Refused,
}

impl End {
    fn of<T>(result: &Result<T, JobError>) -> End {
        match result {
            Ok(_) => End::Completed,
            Err(JobError::Panicked { .. }) => End::Panicked,
            Err(JobError::TimedOut(_)) => End::TimedOut,
            Err(JobError::Cancelled) => End::Cancelled,
            Err(JobError::Refused(_) | JobError::NoThread { .. }) => End::Refused,
        }
    }
}

/// A job as the pool's threads see it.
pub(crate) trait Queued: Send + Sync {
    fn ticket(&self) -> &Ticket;
    fn core(&self) -> &Arc<Core>;
    /// Runs it if nobody stopped it; also tells when it ended.
    fn run(&self, context: &JobContext) -> (Ran, Nanos);
    /// Hands the result over.
    fn complete(&self);
    /// Ends it with an error, if it has no result yet.
    fn stop(self: Arc<Self>, why: JobError);
    /// One of its deadlines has passed.
    fn time_out(self: Arc<Self>);
}

/// A job as its caller sees it.
pub(crate) trait Awaited<T>: Queued {
    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<T, JobError>>;
    /// The caller is gone.
    fn abandon(self: Arc<Self>);
}

enum Stage<F, T> {
    /// With the key that is in use until the closure is gone.
    Queued(F, Option<KeyInUse>),
    Running,
    Ran(Result<T, JobError>),
    /// Somebody stopped it, and frees what it had.
    Halted,
    Done(Result<T, JobError>),
    Spent,
}

struct Slot<F, T> {
    stage: Stage<F, T>,
    waker: Option<Waker>,
}

pub(crate) struct Cell<F, T> {
    ticket: Ticket,
    core: Arc<Core>,
    slot: Mutex<Slot<F, T>>,
}

impl<F, T> Cell<F, T>
where
    F: FnOnce(&JobContext) -> T + Send + 'static,
    T: Send + 'static,
{
    pub(crate) fn new(ticket: Ticket, core: Arc<Core>, work: F, key: Option<KeyInUse>) -> Arc<Cell<F, T>> {
        Arc::new(Cell { ticket, core, slot: Mutex::new(Slot { stage: Stage::Queued(work, key), waker: None }) })
    }

    /// Moves to `next` what `from` recognises; gives back what was there, or nothing if it stays.
    fn advance(&self, next: Stage<F, T>, from: impl FnOnce(&Stage<F, T>) -> bool) -> Option<Stage<F, T>> {
        let mut slot = lock(&self.slot);
        if from(&slot.stage) { Some(std::mem::replace(&mut slot.stage, next)) } else { None }
    }

    /// Stops the job; `next` is what its caller finds, once all that the job captured is gone.
    fn halt(self: Arc<Self>, next: Stage<F, T>, end: End) {
        let unfinished = |stage: &Stage<F, T>| matches!(stage, Stage::Queued(..) | Stage::Running | Stage::Ran(_));
        let Some(old) = self.advance(Stage::Halted, unfinished) else { return };
        self.ticket.stopped.store(true, Ordering::Relaxed);
        if matches!(old, Stage::Queued(..)) {
            self.core.dispatcher.withdraw(&Job(self.clone()));
        }
        // The closure, with all it captured, goes now, wherever its husk still lies.
        panic::discard(old);
        self.conclude(lock(&self.slot), next, end);
    }

    /// The last step of a job but that of its caller.
    fn conclude(&self, mut slot: MutexGuard<'_, Slot<F, T>>, next: Stage<F, T>, end: End) {
        self.core.counters.count(end);
        slot.stage = next;
        self.ticket.over.store(true, Ordering::Release);
        let waker = slot.waker.take();
        drop(slot);
        wake(waker);
    }
}

impl<F, T> Queued for Cell<F, T>
where
    F: FnOnce(&JobContext) -> T + Send + 'static,
    T: Send + 'static,
{
    fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn run(&self, context: &JobContext) -> (Ran, Nanos) {
        let Some(Stage::Queued(work, key)) = self.advance(Stage::Running, |stage| matches!(stage, Stage::Queued(..)))
        else {
            return (Ran::Never, self.core.keeper.now());
        };
        let mut result = panic::catch(|| work(context));
        drop(key);
        let ended = self.core.keeper.now();
        let too_late = context.why_stopped(ended);
        let whole = result.is_ok() && too_late.is_none();
        if let (Ok(_), Some(error)) = (&result, too_late) {
            // It may have stopped half-way when it saw that; whatever it made, nobody shall take it for a result.
            panic::discard(std::mem::replace(&mut result, Err(error)));
        }
        // Not wanted any more: drop it before the next job.
        let mut result = Some(result);
        let mut slot = lock(&self.slot);
        if matches!(slot.stage, Stage::Running)
            && let Some(result) = result.take()
        {
            slot.stage = Stage::Ran(result);
        }
        drop(slot);
        let wanted = result.is_none();
        panic::discard(result);
        (if whole && wanted { Ran::Whole } else { Ran::Cut }, ended)
    }

    fn complete(&self) {
        let mut slot = lock(&self.slot);
        match std::mem::replace(&mut slot.stage, Stage::Spent) {
            Stage::Ran(result) => {
                let end = End::of(&result);
                self.conclude(slot, Stage::Done(result), end);
            }
            other => slot.stage = other,
        }
    }

    fn stop(self: Arc<Self>, why: JobError) {
        let result = Err(why);
        let end = End::of(&result);
        self.halt(Stage::Done(result), end);
    }

    fn time_out(self: Arc<Self>) {
        let phase = if matches!(lock(&self.slot).stage, Stage::Queued(..)) { Phase::Queue } else { Phase::Run };
        self.stop(JobError::TimedOut(phase));
    }
}

impl<F, T> Awaited<T> for Cell<F, T>
where
    F: FnOnce(&JobContext) -> T + Send + 'static,
    T: Send + 'static,
{
    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<T, JobError>> {
        if !self.ticket.is_over() {
            self.core.look_for_the_end(|| self.ticket.is_over());
        }
        let mut slot = lock(&self.slot);
        match std::mem::replace(&mut slot.stage, Stage::Spent) {
            Stage::Done(result) => Poll::Ready(result),
            Stage::Spent => Poll::Ready(Err(JobError::Cancelled)),
            unfinished => {
                slot.stage = unfinished;
                let same = slot.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
                let old = if same { None } else { slot.waker.replace(context.waker().clone()) };
                drop(slot);
                drop(old);
                Poll::Pending
            }
        }
    }

    fn abandon(self: Arc<Self>) {
        let done = self.advance(Stage::Spent, |stage| matches!(stage, Stage::Done(_)));
        if done.is_none() {
            self.halt(Stage::Spent, End::Cancelled);
        }
    }
}

/// Wakes a task. That is foreign code: its panic must take neither a thread of ours nor the other jobs.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        let _ = panic::catch(|| waker.wake());
    }
}
