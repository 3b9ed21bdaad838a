//! Tasks that wait for room in the queue.

use std::task::Waker;

use crate::panic;

#[derive(Default)]
pub(crate) struct Waiters(Vec<Waker>);

impl Waiters {
    /// At most one entry per task.
    pub(crate) fn add(&mut self, waker: &Waker) {
        if !self.0.iter().any(|other| other.will_wake(waker)) {
            self.0.push(waker.clone());
        }
    }

    /// All of them, to be woken outside of the lock.
    pub(crate) fn take(&mut self) -> Waiters {
        std::mem::take(self)
    }

    pub(crate) fn wake(self) {
        for waker in self.0 {
            // Foreign code: its panic must not take a thread of ours.
            let _ = panic::catch(|| waker.wake());
        }
    }
}
