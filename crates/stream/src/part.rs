//! [`Part`]: a source, transform or sink of a running pipeline, which is stepped by whoever is free.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::Context;
use std::time::{Duration, Instant};

use crate::{Buffers, Error};

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was done: look again.
    Worked,
    /// No input, no room, or another hand is at it.
    Waiting,
    /// It has done everything, just now. Said once.
    Ended,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Source,
    Transform,
    Sink,
}

/// How it gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drive {
    /// By steps that do not wait.
    Steps,
    /// By steps that may block the thread.
    Blocks,
    /// It is polled.
    Polled,
}

/// A part of a running pipeline. All but steps and polls only look at numbers and never wait.
pub(crate) trait Part: Send + Sync {
    fn name(&self) -> &str;
    fn role(&self) -> Role;
    fn drive(&self) -> Drive;
    fn tally(&self) -> &Arc<Tally>;

    /// Whether a step would do something: it has input and room, and nobody is at it.
    fn is_ready(&self) -> bool;

    /// How many more hands it could use, 2 meaning several; none also if what follows is still more than half full, so
    /// that nobody is woken for a single step.
    fn wanted_hands(&self) -> usize;

    /// The moment for which it waits.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Whether a step may take as long as it likes.
    fn may_wait_for_ever(&self) -> bool {
        false
    }

    /// Takes a handful of inputs, if there are some and room for what it gives.
    fn step(&self, buffers: &Buffers) -> Result<Step, Error>;

    /// As a step, of a part that is polled.
    fn poll(&self, context: &mut Context<'_>) -> Result<Step, Error> {
        let _ = context;
        Ok(Step::Waiting)
    }

    /// Lets a step that blocks return soon, if it can be interrupted.
    fn interrupt(&self) {}

    /// The pipeline has failed, or was given up. Does nothing if somebody is at it (who calls again when he has left it),
    /// if it has ended, or if it was done before.
    fn abort(&self, error: &Error);
}

/// What a part has done so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) taken: AtomicU64,
    pub(crate) given: AtomicU64,
    steps: AtomicU64,
    busy_nanos: AtomicU64,
}

impl Tally {
    pub(crate) fn took(&self, amount: u64) {
        self.taken.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn gave(&self, amount: u64) {
        self.given.fetch_add(amount, Ordering::Relaxed);
    }

    /// A step that did something ended after this time.
    pub(crate) fn stepped(&self, time: Duration) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self, name: &str) -> PartFigures {
        PartFigures {
            name: name.to_owned(),
            taken: self.taken.load(Ordering::Relaxed),
            given: self.given.load(Ordering::Relaxed),
            steps: self.steps.load(Ordering::Relaxed),
            busy: Duration::from_nanos(self.busy_nanos.load(Ordering::Relaxed)),
        }
    }
}

/// What one part of a pipeline has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartFigures {
    /// The name of the transform, or what the source or sink is.
    pub name: String,
    /// What went in: bytes of chunks, else items.
    pub taken: u64,
    /// What came out: bytes of chunks, else items.
    pub given: u64,
    /// Steps; each takes a handful of inputs.
    pub steps: u64,
    /// How long threads were at it, all together. For ends that block, with their waiting.
    pub busy: Duration,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock, unless somebody has it. Also after a panic in a step: the pipeline is over then, and what was behind the
/// lock is only told so.
pub(crate) fn free<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
