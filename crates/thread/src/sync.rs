//! Locks. [`lock`] for all; [`checked`] holds the primitives under the dispatcher: the standard ones, or loom's while
//! its model is built.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks also what a panic left locked: everything we keep behind a lock is consistent at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(not(loom))]
pub(crate) mod checked {
    pub(crate) use super::lock;
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

    use std::sync::OnceLock;
    use std::sync::atomic::AtomicBool;
    use std::thread::{Thread, current, park};

    /// Where one thread sleeps until it is woken.
    pub(crate) struct Bed {
        woken: AtomicBool,
        sleeper: OnceLock<Thread>,
    }

    impl Bed {
        pub(crate) fn new() -> Bed {
            Bed { woken: AtomicBool::new(false), sleeper: OnceLock::new() }
        }

        /// The thread says whose bed it is, under the lock under which wakers find it.
        pub(crate) fn lie_down(&self) {
            self.sleeper.get_or_init(current);
        }

        /// Blocks until somebody has woken it since it lay down.
        pub(crate) fn sleep(&self) {
            while !self.woken.swap(false, Ordering::Acquire) {
                park();
            }
        }

        pub(crate) fn wake(&self) {
            self.woken.store(true, Ordering::Release);
            if let Some(thread) = self.sleeper.get() {
                thread.unpark();
            }
        }
    }
}

#[cfg(loom)]
pub(crate) mod checked {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Not loom's `park`: its token is lost when the thread blocks on a lock meanwhile, unlike the real one.
    pub(crate) struct Bed {
        woken: Mutex<bool>,
        changed: Condvar,
    }

    impl Bed {
        pub(crate) fn new() -> Bed {
            Bed { woken: Mutex::new(false), changed: Condvar::new() }
        }

        pub(crate) fn lie_down(&self) {}

        pub(crate) fn sleep(&self) {
            let mut woken = lock(&self.woken);
            while !std::mem::take(&mut *woken) {
                woken = self.changed.wait(woken).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
        }

        pub(crate) fn wake(&self) {
            *lock(&self.woken) = true;
            self.changed.notify_one();
        }
    }
}
