//! Sleeping on a word of shared memory, and waking who sleeps there.
//!
//! The kernel keeps the list of sleepers. It knows a word by the file and the offset behind it and not by its address
//! (no `FUTEX_PRIVATE_FLAG`), so it does not matter which process mapped it, or where. A sleeper who is killed
//! disappears from the list.

use std::io;
use std::num::NonZeroU32;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};

/// Why a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slept {
    /// Somebody woke us. Or a signal handler ran and the word was another one afterwards.
    Woken,
    /// Not at all: the word was not the expected one.
    NotEqual,
    /// The deadline passed.
    TimedOut,
}

/// A point of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline {
    at: Timespec,
}

impl Deadline {
    /// `None` if that is later than the clock can say: never.
    pub(crate) fn after(timeout: Duration) -> Option<Deadline> {
        let at = monotonic_now().checked_add(Timespec::try_from(timeout).ok()?)?;
        Some(Deadline { at })
    }

    pub(crate) fn has_passed(self) -> bool {
        monotonic_now() >= self.at
    }

    pub(crate) fn at(&self) -> &Timespec {
        &self.at
    }
}

/// The clock that deadlines of the kernel are points of, and that is the same for all processes of the machine.
pub(crate) fn monotonic_now() -> Timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // By the C library, because rustix finds the kernel's own clock where valgrind has taken it away.
    // SAFETY: the pointer is valid for a write. The call cannot fail: every Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Timespec { tv_sec: now.tv_sec, tv_nsec: now.tv_nsec }
}

/// Sleeps while `word` is `expected`, until somebody wakes us or the deadline passes.
pub(crate) fn sleep(word: &AtomicU32, expected: u32, deadline: Option<&Deadline>) -> io::Result<Slept> {
    let mut interrupted = false;
    loop {
        // With a bit set the timeout is a point in time, so that interruptions do not lengthen it.
        match futex::wait_bitset(word, Flags::empty(), expected, deadline.map(Deadline::at), NonZeroU32::MAX) {
            Ok(()) => return Ok(Slept::Woken),
            // The word changed while the signal handler ran: the wake-up that belongs to it found us awake.
            Err(Errno::AGAIN) if interrupted => return Ok(Slept::Woken),
            Err(Errno::AGAIN) => return Ok(Slept::NotEqual),
            Err(Errno::TIMEDOUT) => return Ok(Slept::TimedOut),
            Err(Errno::INTR) => interrupted = true,
            Err(other) => return Err(other.into()),
        }
    }
}

/// Wakes up to `count` of those who sleep on `word`; how many it woke.
pub(crate) fn wake(word: &AtomicU32, count: usize) -> io::Result<usize> {
    if count == 0 {
        // The kernel would wake one.
        return Ok(0);
    }
    // The kernel's count is signed.
    let count = u32::try_from(count).unwrap_or(u32::MAX).min(i32::MAX as u32);
    Ok(futex::wake(word, Flags::empty(), count)?)
}
