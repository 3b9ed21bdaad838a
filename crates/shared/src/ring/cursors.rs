//! The rules of the two positions and the waiting flag, apart from where the words live: on a segment for use, on
//! loom's words for the model (`model.rs`).
//!
//! Positions count bytes since the ring was made and never wrap (2^64 bytes are centuries). Only the writer moves
//! `head`, only the reader moves `tail`, and each keeps its own in private memory: what it reads of the other is
//! checked before it is used, so a peer that writes nonsense gets an error and harms nobody.
//!
//! Why nobody misses a wake-up. A writer without space raises the flag, *then* looks at `tail` again; a reader moves
//! `tail`, *then* looks at the flag; a full fence stands between the two steps on both sides, so at least one of them
//! sees the other.

use std::io;

/// The shared words.
pub(super) trait Cursors {
    /// Where the writer is (acquire: what it wrote before is visible).
    fn head(&self) -> u64;
    /// Moves the writer's position (release).
    fn set_head(&self, position: u64);
    /// Where the reader is (acquire: its reads of what lies before have happened).
    fn tail(&self) -> u64;
    /// Moves the reader's position (release).
    fn set_tail(&self, position: u64);
    /// Raises the flag: the writer waits for space.
    fn set_waiting(&self);
    /// Lowers the flag; true if it was up.
    fn take_waiting(&self) -> bool;
    /// A sequentially consistent fence.
    fn full_fence(&self);
}

/// Bytes that the writer, who is at `head`, may write now.
pub(super) fn free(cursors: &impl Cursors, head: u64, capacity: u64) -> io::Result<u64> {
    match head.checked_sub(cursors.tail()) {
        Some(used) if used <= capacity => Ok(capacity - used),
        _ => Err(corrupt("the reader's position")),
    }
}

/// As [`free`], and when that is nothing the flag is up, so that the reader's next step wakes the writer.
pub(super) fn free_or_wait(cursors: &impl Cursors, head: u64, capacity: u64) -> io::Result<u64> {
    match free(cursors, head, capacity)? {
        0 => {
            cursors.set_waiting();
            cursors.full_fence();
            free(cursors, head, capacity)
        }
        some => Ok(some),
    }
}

/// Bytes that the reader, who is at `tail`, may read now.
pub(super) fn filled(cursors: &impl Cursors, tail: u64, capacity: u64) -> io::Result<u64> {
    match cursors.head().checked_sub(tail) {
        Some(filled) if filled <= capacity => Ok(filled),
        _ => Err(corrupt("the writer's position")),
    }
}

/// Gives the space before `tail` back. True if the writer waits for it and must be woken.
pub(super) fn release(cursors: &impl Cursors, tail: u64) -> bool {
    cursors.set_tail(tail);
    cursors.full_fence();
    cursors.take_waiting()
}

fn corrupt(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} in the shared ring makes no sense"))
}
