//! [`Notified`]: how many notifies have begun and how many are done, counted in the buffer's header.
//!
//! A thread that waits sleeps in the kernel, whose list of sleepers is all that a notify needs. A pending
//! [`wait_async`](crate::View::wait_async) is in that list most of the time, but not while the thread that sleeps for all
//! of them arranges them anew. These counters tell that thread whether a notify came meanwhile, from whichever process:
//! the first is raised before the kernel is asked to wake, the second after.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Segment, fail_point};

/// Pairs of counters in a buffer: one cache line. Elements share them (element n has pair n modulo 8).
const PAIRS: usize = 8;
/// Where they begin, in words of 32 bits: the second line of the header.
const FIRST_WORD: usize = 16;

/// The counters that are in charge of one element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notified<'a> {
    begun: &'a AtomicU32,
    done: &'a AtomicU32,
}

/// What the counters said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Notifies begun.
    pub(crate) begun: u32,
    /// Whether all of them had also been done.
    pub(crate) quiet: bool,
}

impl Notified<'_> {
    pub(super) fn at(segment: &Segment, byte_offset: usize) -> Notified<'_> {
        let pair = FIRST_WORD + 2 * (byte_offset / size_of::<u32>() % PAIRS);
        let words = segment.words::<AtomicU32>();
        Notified { begun: &words[pair], done: &words[pair + 1] }
    }

    /// Counts `notify` while it runs.
    pub(super) fn count<R>(&self, notify: impl FnOnce() -> R) -> R {
        self.begun.fetch_add(1, Ordering::SeqCst);
        fail_point::reach("notify: it is counted and nobody is woken yet");
        let result = notify();
        fail_point::reach("notify: they are woken and it is not counted as done");
        self.done.fetch_add(1, Ordering::SeqCst);
        result
    }

    pub(crate) fn read(&self) -> Reading {
        // In this order: if the two agree, nothing was under way when the second was read.
        let done = self.done.load(Ordering::SeqCst);
        let begun = self.begun.load(Ordering::SeqCst);
        Reading { begun, quiet: begun == done }
    }

    /// The word that changes when a notify begins.
    pub(crate) fn begun(&self) -> &AtomicU32 {
        self.begun
    }
}
