//! The rules of the two positions and the two flags, apart from where the words live: on a segment for use, on loom's
//! words for the model (`model.rs`).
//!
//! Positions count bytes since the ring was made and never wrap (2^64 bytes are centuries). Only the sender moves
//! `head`, only the receiver moves `tail`; what one reads of the other is checked before it is used.
//!
//! Why nobody misses a wake-up. Who is about to sleep raises its flag, *then* looks at the other's position again; who
//! moves its position does so *before* it looks at the other's flag. All four steps are sequentially consistent, so at
//! least one of the two sees the other. The flag is the word that is slept on: once it was taken down, the sleep does not
//! even begin. A flag that a killed process left up costs one needless wake-up.
//!
//! (A sequentially consistent store is one instruction on x86-64, and half the price of a fence.)

use crate::Error;

/// The two positions. All loads and stores are sequentially consistent.
pub(super) trait Cursors {
    /// Where the sender is: what it wrote before is visible.
    fn head(&self) -> u64;
    /// Moves the sender's position.
    fn set_head(&self, position: u64);
    /// Where the receiver is: its reads of what lies before have happened.
    fn tail(&self) -> u64;
    /// Moves the receiver's position.
    fn set_tail(&self, position: u64);
}

/// The two flags. All loads and stores of them are sequentially consistent.
pub(super) trait Parking: Cursors {
    /// Raises the flag: the receiver sleeps, or is about to.
    fn raise_receiver_flag(&self);
    /// Lowers it; true if it was up.
    fn take_receiver_flag(&self) -> bool;
    /// Raises the flag: the sender sleeps, or is about to, until the receiver has come to `wanted`.
    fn raise_sender_flag(&self, wanted: u64);
    /// The position that the sender waits for, if its flag is up.
    fn sender_wants(&self) -> Option<u64>;
    /// Lowers it; true if it was up.
    fn take_sender_flag(&self) -> bool;
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

/// A message is whole. True if the receiver sleeps and must be woken.
pub(super) fn publish(ring: &impl Parking, head: u64) -> bool {
    ring.set_head(head);
    ring.take_receiver_flag()
}

/// A message was copied out. True if the sender waits for that space and must be woken.
pub(super) fn release(ring: &impl Parking, tail: u64) -> bool {
    ring.set_tail(tail);
    ring.sender_wants().is_some_and(|wanted| tail >= wanted) && ring.take_sender_flag()
}
