//! Locks. [`lock`] for all; [`checked`] holds the primitives under the dispatcher: the standard ones, or loom's while
//! its model is built.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks also what a panic left locked: everything we keep behind a lock is consistent at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has cache lines of its own (two, because processors fetch pairs): other threads that read what lies beside it
/// do not wait for each change of it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

impl<T> std::ops::Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(not(loom))]
pub(crate) mod checked {
    pub(crate) use super::lock;
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering, fence};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

    use std::sync::atomic::AtomicBool;
    use std::thread::{Thread, current, park, park_timeout};
    use std::time::{Duration, Instant};

    /// Where one thread sleeps until it is woken.
    pub(crate) struct Bed {
        woken: AtomicBool,
        sleeper: Thread,
    }

    impl Bed {
        /// The bed of the calling thread.
        pub(crate) fn new() -> Bed {
            Bed { woken: AtomicBool::new(false), sleeper: current() }
        }

        /// Blocks until somebody has woken it since it last slept, or for so long; false if nobody has.
        pub(crate) fn sleep(&self, longest: Option<Duration>) -> bool {
            let until = longest.and_then(|longest| Instant::now().checked_add(longest));
            while !self.woken.swap(false, Ordering::Acquire) {
                match until.map(|until| until.saturating_duration_since(Instant::now())) {
                    None => park(),
                    Some(Duration::ZERO) => return false,
                    Some(left) => park_timeout(left),
                }
            }
            true
        }

        pub(crate) fn wake(&self) {
            self.woken.store(true, Ordering::Release);
            self.sleeper.unpark();
        }
    }
}

#[cfg(loom)]
pub(crate) mod checked {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering, fence};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Not loom's `park`: its token is lost when the thread blocks on a lock meanwhile, unlike the real one.
    pub(crate) struct Bed {
        state: Mutex<Rest>,
        changed: Condvar,
    }

    struct Rest {
        woken: bool,
        /// loom knows no time: the first sleep that is not for ever is over at once, the later ones last.
        timed_out_once: bool,
    }

    impl Bed {
        pub(crate) fn new() -> Bed {
            Bed { state: Mutex::new(Rest { woken: false, timed_out_once: false }), changed: Condvar::new() }
        }

        pub(crate) fn sleep(&self, longest: Option<std::time::Duration>) -> bool {
            let mut state = lock(&self.state);
            while !std::mem::take(&mut state.woken) {
                if longest.is_some() && !std::mem::replace(&mut state.timed_out_once, true) {
                    return false;
                }
                state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            true
        }

        pub(crate) fn wake(&self) {
            lock(&self.state).woken = true;
            self.changed.notify_one();
        }
    }
}
