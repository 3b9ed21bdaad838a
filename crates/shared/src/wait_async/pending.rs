//! [`Pending`]: one asynchronous wait, between its future and the thread that sleeps for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use super::sleeper::Sleeper;
use crate::buffer::{Reading, WaitPlace};
use crate::futex::Deadline;
use crate::{Error, Waited};

/// A wait that has begun.
pub(super) struct Pending {
    pub(super) place: WaitPlace,
    pub(super) expected: u32,
    pub(super) deadline: Option<Deadline>,
    /// The notify counters when the wait began.
    pub(super) begun_at: Reading,
    sleeper: OnceLock<Arc<Sleeper>>,
    progress: Mutex<Progress>,
}

enum Progress {
    Waiting(Option<Waker>),
    Ended(Result<Waited, Error>),
    /// The future is dropped, or has its result.
    NobodyAsks,
}

impl Pending {
    pub(super) fn new(place: WaitPlace, expected: u32, deadline: Option<Deadline>) -> Pending {
        let begun_at = place.notified().read();
        let progress = Mutex::new(Progress::Waiting(None));
        Pending { place, expected, deadline, begun_at, sleeper: OnceLock::new(), progress }
    }

    pub(super) fn still_equal(&self) -> bool {
        self.place.value() == self.expected
    }

    /// Says which thread sleeps for it; once.
    pub(super) fn kept_by(&self, sleeper: Arc<Sleeper>) {
        let _ = self.sleeper.set(sleeper);
    }

    /// The result, once; until then `waker` is told when there is one.
    pub(super) fn poll(&self, waker: &Waker) -> Option<Result<Waited, Error>> {
        let mut progress = self.progress();
        match &mut *progress {
            Progress::Waiting(Some(known)) => {
                known.clone_from(waker);
                None
            }
            Progress::Waiting(empty) => {
                *empty = Some(waker.clone());
                None
            }
            Progress::NobodyAsks => None,
            Progress::Ended(_) => match std::mem::replace(&mut *progress, Progress::NobodyAsks) {
                Progress::Ended(result) => Some(result),
                _ => None,
            },
        }
    }

    /// The future is dropped. A notify that it will not see goes to somebody else.
    pub(super) fn give_up(&self) {
        let before = std::mem::replace(&mut *self.progress(), Progress::NobodyAsks);
        match before {
            Progress::Ended(Ok(Waited::Ok)) => self.place.pass_on(),
            Progress::Waiting(_) => {
                if let Some(sleeper) = self.sleeper.get() {
                    sleeper.kick();
                }
            }
            _ => {}
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        matches!(*self.progress(), Progress::NobodyAsks)
    }

    /// Called by the sleeping thread, once.
    pub(super) fn end(&self, result: Result<Waited, Error>) {
        let woken = matches!(result, Ok(Waited::Ok));
        let mut progress = self.progress();
        match std::mem::replace(&mut *progress, Progress::NobodyAsks) {
            Progress::Waiting(waker) => {
                *progress = Progress::Ended(result);
                drop(progress);
                // A runtime whose waker panics must not end the waits of the others.
                let _ = waker.map(|waker| catch_unwind(AssertUnwindSafe(|| waker.wake())));
            }
            Progress::NobodyAsks if woken => {
                drop(progress);
                self.place.pass_on();
            }
            other => *progress = other,
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
