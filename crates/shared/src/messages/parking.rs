//! The rules of the two positions and the two flags, apart from where the words live: on a segment for use, on loom's
//! words for the model (`model.rs`).
//!
//! Positions count bytes since the ring was made and never wrap (2^64 bytes are centuries). Only the sender moves
//! `head`, only the receiver moves `tail`; what one reads of the other is checked before it is used.
//!
//! Why nobody misses a wake-up. Who is about to sleep raises its flag, *then* looks at the other's position again; who
//! moves its position does so *before* it looks at the other's flag; a full fence stands between the two steps on both
//! sides, so at least one of them sees the other. The flag is the word that is slept on: once it was taken down, the sleep
//! does not even begin. A flag that a killed process left up costs one needless wake-up.

use crate::Error;

/// The two positions.
pub(super) trait Cursors {
    /// Where the sender is (acquire: what it wrote before is visible).
    fn head(&self) -> u64;
    /// Moves the sender's position (release).
    fn set_head(&self, position: u64);
    /// Where the receiver is (acquire: its reads of what lies before have happened).
    fn tail(&self) -> u64;
    /// Moves the receiver's position (release).
    fn set_tail(&self, position: u64);
}

/// The two flags.
pub(super) trait Parking: Cursors {
    /// Raises the flag: the receiver sleeps, or is about to.
    fn raise_receiver_flag(&self);
    /// Lowers it; true if it was up.
    fn take_receiver_flag(&self) -> bool;
    /// Raises the flag: the sender sleeps, or is about to, until the receiver has come to `wanted`.
    fn raise_sender_flag(&self, wanted: u64);
    /// The position that the sender waits for.
    fn sender_wants(&self) -> u64;
    /// Lowers it; true if it was up.
    fn take_sender_flag(&self) -> bool;
    /// A sequentially consistent fence.
    fn full_fence(&self);
}

/// The receiver's position, for a sender who is at `head`.
pub(super) fn tail_before(cursors: &impl Cursors, head: u64, capacity: u64) -> Result<u64, Error> {
    let tail = cursors.tail();
    match head.checked_sub(tail) {
        Some(used) if used <= capacity && tail.is_multiple_of(8) => Ok(tail),
        _ => Err(Error::Corrupt { what: "the receiver's position" }),
    }
}

/// The sender's position, for a receiver who is at `tail`.
pub(super) fn head_after(cursors: &impl Cursors, tail: u64, capacity: u64) -> Result<u64, Error> {
    let head = cursors.head();
    match head.checked_sub(tail) {
        Some(filled) if filled <= capacity && head.is_multiple_of(8) => Ok(head),
        _ => Err(Error::Corrupt { what: "the sender's position" }),
    }
}

/// The receiver found nothing and will sleep, unless it finds something now.
pub(super) fn announce_receiver(ring: &impl Parking) {
    ring.raise_receiver_flag();
    ring.full_fence();
}

/// The sender found no space and will sleep, unless it finds some now.
pub(super) fn announce_sender(ring: &impl Parking, wanted: u64) {
    ring.raise_sender_flag(wanted);
    ring.full_fence();
}

/// A message is whole. True if the receiver sleeps and must be woken.
pub(super) fn publish(ring: &impl Parking, head: u64) -> bool {
    ring.set_head(head);
    ring.full_fence();
    ring.take_receiver_flag()
}

/// A message was copied out. True if the sender waits for that space and must be woken.
pub(super) fn release(ring: &impl Parking, tail: u64) -> bool {
    ring.set_tail(tail);
    ring.full_fence();
    tail >= ring.sender_wants() && ring.take_sender_flag()
}
