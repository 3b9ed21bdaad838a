//! [`WaitPlace`]: where an asynchronous wait waits.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{HEADER_BYTES, Notified, SharedBuffer};
use crate::futex;

/// A word of 32 bits of a buffer, and the buffer with it.
#[derive(Debug, Clone)]
pub(crate) struct WaitPlace {
    buffer: SharedBuffer,
    byte_offset: usize,
}

impl WaitPlace {
    /// The caller has checked that the word is there.
    pub(super) fn new(buffer: SharedBuffer, byte_offset: usize) -> WaitPlace {
        WaitPlace { buffer, byte_offset }
    }

    pub(crate) fn futex(&self) -> &AtomicU32 {
        &self.buffer.segment().words::<AtomicU32>()[(HEADER_BYTES + self.byte_offset) / size_of::<u32>()]
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        self.buffer.notified(self.byte_offset)
    }

    pub(crate) fn value(&self) -> u32 {
        self.futex().load(Ordering::Relaxed)
    }

    /// A wake-up that came to somebody who no longer waits goes to another waiter.
    pub(crate) fn pass_on(&self) {
        let wake = || futex::wake(self.futex(), 1);
        // Through a read-only mapping nothing can be counted; who sleeps in the kernel is woken all the same.
        let _ = if self.buffer.is_writable() { self.notified().count(wake) } else { wake() };
    }
}
