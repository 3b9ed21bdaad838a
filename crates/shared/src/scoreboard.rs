//! The scoreboard: what each worker says of itself, readable by everybody without a system call, and still readable
//! after its writer was killed.
//!
//! ```text
//!   slot 0 ─ memfd ─ written by the worker in slot 0, mapped read-only by all others
//!   slot 1 ─ memfd ─ …
//! ```
//!
//! One [`Slot`] is one sealed memory file. It outlives the worker that writes it: the primary creates it, hands it to
//! each worker that takes the slot, and calls [`Slot::vacate`] when that worker is gone. Every value is a single
//! atomic word, so no reader can see a torn one; words of one slot are not snapshotted together.
//!
//! Errors: those of [`Segment`]; `InvalidData` when the layout is of another version.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Segment;

/// Bytes of a slot: one page.
const SLOT_BYTES: usize = 4096;

/// Identifies the layout below; a reader refuses any other.
const LAYOUT_VERSION: u64 = 0x5048_4c58_0000_0001;

/// What a slot holds. All are plain counts but where a unit is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Field {
    /// Process id of the worker, 0 while the slot is vacant.
    Pid = 1,
    /// Number of the worker process in this cluster, from 1, never used twice.
    Worker = 2,
    /// Grows by one a second while the worker's event loop turns.
    Heartbeat = 3,
    /// 1 while the worker takes new connections.
    Accepting = 4,
    /// Connections that are open now.
    Connections = 5,
    /// Connections accepted since the worker began.
    Accepted = 6,
    /// Requests begun since the worker began.
    Requests = 7,
    /// Requests begun and not yet answered.
    InFlight = 8,
    /// Pool threads that run a job now.
    BusyThreads = 9,
    /// Jobs that wait in the pool's queue.
    QueueDepth = 10,
    /// Resident memory in bytes, as last sampled.
    ResidentBytes = 11,
    /// Connections for which the accept gate waited, because another worker had fewer.
    Deferred = 12,
}

/// Fields beyond [`Field::Pid`] that [`Slot::vacate`] sets to zero.
const LAST_FIELD: usize = Field::Deferred as usize;

/// One worker's page of the scoreboard.
#[derive(Debug)]
pub struct Slot {
    segment: Segment,
}

impl Slot {
    /// Creates a vacant slot.
    pub fn create() -> io::Result<Slot> {
        let segment = Segment::create("phalanx-scoreboard", SLOT_BYTES)?;
        segment.words::<AtomicU64>()[0].store(LAYOUT_VERSION, Ordering::Release);
        Ok(Slot { segment })
    }

    /// Opens a slot whose descriptor came from another process.
    pub fn open(descriptor: OwnedFd) -> io::Result<Slot> {
        let segment = Segment::map(descriptor)?;
        let words = segment.words::<AtomicU64>();
        if words.len() <= LAST_FIELD || words[0].load(Ordering::Acquire) != LAYOUT_VERSION {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the scoreboard slot has another layout: it was made by another version of this program",
            ));
        }
        Ok(Slot { segment })
    }

    /// A descriptor through which a worker may write this slot: for the worker that holds it.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.segment.descriptor()
    }

    /// A descriptor through which this slot can only be read: for everybody else.
    pub fn read_only_descriptor(&self) -> io::Result<OwnedFd> {
        self.segment.read_only_descriptor()
    }

    /// The value of `field` now.
    pub fn get(&self, field: Field) -> u64 {
        self.word(field).load(Ordering::Relaxed)
    }

    /// Sets `field`. Without effect on a slot that was opened read-only.
    pub fn set(&self, field: Field, value: u64) {
        if self.segment.is_writable() {
            self.word(field).store(value, Ordering::Relaxed);
        }
    }

    /// Adds `amount` to `field`. Without effect on a slot that was opened read-only.
    pub fn add(&self, field: Field, amount: u64) {
        if self.segment.is_writable() {
            self.word(field).fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// Takes `amount` from `field`. Without effect on a slot that was opened read-only.
    pub fn subtract(&self, field: Field, amount: u64) {
        if self.segment.is_writable() {
            self.word(field).fetch_sub(amount, Ordering::Relaxed);
        }
    }

    /// Sets every field to zero: the worker that wrote here is gone.
    pub fn vacate(&self) {
        if self.segment.is_writable() {
            for word in &self.segment.words::<AtomicU64>()[1..=LAST_FIELD] {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    fn word(&self, field: Field) -> &AtomicU64 {
        &self.segment.words()[field as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_the_worker_wrote_and_cannot_change_it() {
        let primary = Slot::create().unwrap();
        let worker = Slot::open(primary.descriptor().unwrap()).unwrap();
        let sibling = Slot::open(primary.read_only_descriptor().unwrap()).unwrap();
        worker.set(Field::Pid, 77);
        worker.add(Field::Connections, 3);
        worker.subtract(Field::Connections, 1);
        sibling.set(Field::Connections, 1000);
        sibling.vacate();
        assert_eq!((sibling.get(Field::Pid), sibling.get(Field::Connections)), (77, 2));
        primary.vacate();
        assert_eq!((sibling.get(Field::Pid), sibling.get(Field::Connections)), (0, 0));
    }

    #[test]
    fn memory_of_another_layout_is_refused() {
        let other = Segment::create("other", SLOT_BYTES).unwrap();
        assert_eq!(Slot::open(other.descriptor().unwrap()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
