//! Which thread this is: [`is_main_thread`], [`thread_id`].

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of the main thread.
const MAIN: u64 = 0;

/// The next number to give away.
static NEXT: AtomicU64 = AtomicU64::new(MAIN + 1);

thread_local! {
    static NUMBER: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Whether this is the thread that runs `main`.
///
/// ```
/// use phalanx_thread::is_main_thread;
///
/// assert!(!std::thread::spawn(is_main_thread).join().unwrap());
/// ```
pub fn is_main_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

/// The number of this thread: 0 for the main thread, and small numbers for the others: for a worker [the number that
/// its parent sees](crate::Worker::thread_id), for any other thread the next one when it first asks. No number is given
/// twice.
///
/// ```
/// use phalanx_thread::thread_id;
///
/// assert_eq!(thread_id(), thread_id());
/// assert_ne!(thread_id(), std::thread::spawn(thread_id).join().unwrap());
/// ```
pub fn thread_id() -> u64 {
    if let Some(number) = NUMBER.get() {
        return number;
    }
    let number = if is_main_thread() { MAIN } else { next_number() };
    NUMBER.set(Some(number));
    number
}

pub(crate) fn next_number() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A worker takes the number that its parent chose.
pub(crate) fn take_number(number: u64) {
    NUMBER.set(Some(number));
}
