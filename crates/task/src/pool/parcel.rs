//! [`Parcel`]: a task on its way, with the place where its result is left for the caller.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use phalanx_thread::line::KeyInUse;
use tracing::Span;

use crate::{Attempt, Packed, ProgressCell, TaskError, TaskId};

pub(super) struct Parcel {
    /// Its number in the registry.
    pub(super) kind: usize,
    /// With what an earlier attempt has kept as its last blob, if there is any.
    pub(super) input: Packed,
    pub(super) attempt: Arc<Attempt>,
    /// What its context says for its number; another number than that of its place in the pool, for it may not be ours.
    pub(super) id: TaskId,
    /// Its idempotency key, until it is over.
    key: Mutex<Option<KeyInUse>>,
    pub(super) progress: Arc<ProgressCell>,
    outcome: Mutex<Outcome>,
}

enum Outcome {
    /// The caller's waker, once it has asked. The span lasts until the result is there; the process that runs the task is
    /// in one of its own.
    Awaited {
        waker: Option<Waker>,
        span: Span,
    },
    There(Result<Packed, TaskError>),
    Taken,
}

impl Parcel {
    pub(super) fn new(
        kind: usize,
        input: Packed,
        attempt: Arc<Attempt>,
        id: TaskId,
        key: Option<KeyInUse>,
        span: Span,
    ) -> Parcel {
        Parcel {
            kind,
            input,
            attempt,
            id,
            key: Mutex::new(key),
            progress: ProgressCell::new(),
            outcome: Mutex::new(Outcome::Awaited { waker: None, span }),
        }
    }

    /// Its process is free of it: its key may be used again.
    pub(super) fn is_over(&self) {
        drop(self.key.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Whether the caller has asked, and will be woken.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(&*self.outcome.lock().unwrap_or_else(PoisonError::into_inner), Outcome::Awaited { waker: Some(_), .. })
    }

    /// Leaves the result and wakes the caller. Not under a lock.
    pub(super) fn complete(&self, result: Result<Packed, TaskError>) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &*outcome {
            Outcome::Awaited { .. } => std::mem::replace(&mut *outcome, Outcome::There(result)),
            // It has one already.
            Outcome::There(_) | Outcome::Taken => return,
        };
        drop(outcome);
        self.progress.end();
        if let Outcome::Awaited { waker, span } = before {
            drop(span);
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// The result, if it is there and was not taken.
    pub(super) fn take(&self) -> Poll<Result<Packed, TaskError>> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*outcome, Outcome::Awaited { .. }) {
            return Poll::Pending;
        }
        match std::mem::replace(&mut *outcome, Outcome::Taken) {
            Outcome::There(result) => Poll::Ready(result),
            Outcome::Awaited { .. } | Outcome::Taken => Poll::Ready(Err(TaskError::Cancelled)),
        }
    }

    /// The result, or the waker stays for it.
    pub(super) fn take_or_wait(&self, waker: &Waker) -> Poll<Result<Packed, TaskError>> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let Outcome::Awaited { waker: known, .. } = &mut *outcome else {
            drop(outcome);
            return self.take();
        };
        if known.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            let before = known.replace(waker.clone());
            drop(outcome);
            // What its drop does is not ours, so not under the lock.
            drop(before);
        }
        Poll::Pending
    }
}
