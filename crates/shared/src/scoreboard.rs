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
//! atomic word, so no reader can see a torn one; words of one slot are not snapshotted together, but
//! [`Slot::snapshot`] sees to it that all of them are of one and the same worker.
//!
//! The layout, in words of 64 bits: word 0 is the mark with the version, word `n` is the [`Field`] of number `n`, word 64
//! counts the changes of occupants (odd while one is being made). There are no pointers in it. Fields are only ever added
//! behind the last; a reader of another version sees zero in those that it knows and the writer does not.
//!
//! Errors: those of [`Segment`]; `InvalidData` when the layout is of another version.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::{Generation, Segment};

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

impl Field {
    /// Every field, in the order of the layout.
    pub const ALL: [Field; LAST_FIELD] = [
        Field::Pid,
        Field::Worker,
        Field::Heartbeat,
        Field::Accepting,
        Field::Connections,
        Field::Accepted,
        Field::Requests,
        Field::InFlight,
        Field::BusyThreads,
        Field::QueueDepth,
        Field::ResidentBytes,
        Field::Deferred,
    ];
}

/// Fields beyond [`Field::Pid`] that [`Slot::vacate`] sets to zero.
const LAST_FIELD: usize = Field::Deferred as usize;
/// Word that counts the changes of occupants, twice each; far behind the fields, on a cache line of its own.
const CHANGES_AT: usize = 64;
/// Attempts to see one occupant only. Who replaces workers faster than a few words can be read is broken.
const SNAPSHOT_ATTEMPTS: usize = 1000;

/// All fields of one worker. See [`Slot::snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    generation: Generation,
    values: [u64; LAST_FIELD],
}

impl Snapshot {
    /// Which of the workers that the slot has had.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The value of `field`.
    pub fn get(&self, field: Field) -> u64 {
        self.values[field as usize - 1]
    }
}

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
        if words.len() <= CHANGES_AT || words[0].load(Ordering::Acquire) != LAYOUT_VERSION {
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

    /// Sets every field to zero: the worker that wrote here is gone, and the next [generation](Slot::generation) begins.
    pub fn vacate(&self) {
        if !self.segment.is_writable() {
            return;
        }
        let changes = self.changes();
        // Odd, also if somebody was killed in the middle of this.
        let under_way = changes.load(Ordering::Relaxed) | 1;
        changes.store(under_way, Ordering::Relaxed);
        fence(Ordering::Release);
        for word in &self.segment.words::<AtomicU64>()[1..=LAST_FIELD] {
            word.store(0, Ordering::Relaxed);
        }
        changes.store(under_way.wrapping_add(1), Ordering::Release);
    }

    /// How many workers this slot has had before the one that writes it now. A reader who sees another one than before
    /// knows that the worker was replaced, and that its counters began anew.
    pub fn generation(&self) -> Generation {
        Generation((self.changes().load(Ordering::Acquire) / 2) as u32)
    }

    /// All fields, of one and the same worker: none of one that was replaced while we read. `None` only if the primary was
    /// killed while it made a change, until it makes the next one.
    ///
    /// ```
    /// use phalanx_shared::{Field, Generation, Slot};
    ///
    /// let slot = Slot::create()?; // in the primary
    /// let worker = Slot::open(slot.descriptor()?)?; // in the worker
    /// worker.add(Field::Requests, 3);
    /// let seen = slot.snapshot().expect("nobody changes the occupant now");
    /// assert_eq!((seen.generation(), seen.get(Field::Requests)), (Generation(0), 3));
    /// slot.vacate(); // the worker has ended
    /// assert_eq!(slot.generation(), Generation(1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn snapshot(&self) -> Option<Snapshot> {
        for _ in 0..SNAPSHOT_ATTEMPTS {
            let before = self.changes().load(Ordering::Acquire);
            let values = Field::ALL.map(|field| self.get(field));
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.changes().load(Ordering::Relaxed) == before {
                return Some(Snapshot { generation: Generation((before / 2) as u32), values });
            }
            std::hint::spin_loop();
        }
        None
    }

    fn changes(&self) -> &AtomicU64 {
        &self.segment.words()[CHANGES_AT]
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
    fn a_reader_can_tell_that_the_writer_was_replaced() {
        let primary = Slot::create().unwrap();
        let sibling = Slot::open(primary.read_only_descriptor().unwrap()).unwrap();
        let first = sibling.generation();
        primary.set(Field::Requests, 5);
        assert_eq!(sibling.snapshot().map(|seen| (seen.generation(), seen.get(Field::Requests))), Some((first, 5)));
        primary.vacate();
        let second = sibling.snapshot().unwrap();
        assert_eq!((second.generation(), second.get(Field::Requests)), (Generation(first.0 + 1), 0));
        sibling.vacate();
        assert_eq!(primary.generation(), second.generation());
    }

    #[test]
    fn a_snapshot_never_mixes_two_workers() {
        let primary = Slot::create().unwrap();
        let sibling = Slot::open(primary.read_only_descriptor().unwrap()).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for worker in 1..=20_000u64 {
                    // A worker says the same in every field, once.
                    Field::ALL.iter().for_each(|field| primary.set(*field, worker));
                    primary.vacate();
                }
                stop.store(true, Ordering::Release);
            });
            while !stop.load(Ordering::Acquire) {
                let Some(seen) = sibling.snapshot() else { continue };
                let expected = u64::from(seen.generation().0) + 1;
                for field in Field::ALL {
                    let value = seen.get(field);
                    assert!(value == 0 || value == expected, "{field:?} of worker {value} beside worker {expected}");
                }
            }
        });
    }

    #[test]
    fn a_primary_that_was_killed_in_the_middle_leaves_a_slot_that_the_next_can_vacate() {
        let slot = Slot::create().unwrap();
        slot.changes().store(3, Ordering::Release);
        assert_eq!(slot.snapshot(), None);
        slot.set(Field::Pid, 5);
        assert_eq!(slot.get(Field::Pid), 5);
        slot.vacate();
        assert_eq!(slot.snapshot().map(|seen| (seen.generation(), seen.get(Field::Pid))), Some((Generation(2), 0)));
    }

    #[test]
    fn every_field_is_where_it_was() {
        // Processes of different versions read each other's slots: whoever changes this changes the mark too.
        let slot = Slot::create().unwrap();
        for (index, field) in Field::ALL.into_iter().enumerate() {
            slot.set(field, 100 + index as u64);
            assert_eq!(slot.segment.words::<AtomicU64>()[1 + index].load(Ordering::Relaxed), 100 + index as u64);
        }
        assert_eq!(slot.segment.words::<AtomicU64>()[0].load(Ordering::Relaxed), LAYOUT_VERSION);
    }

    #[test]
    fn memory_of_another_layout_is_refused() {
        for bytes in [8, 512, SLOT_BYTES] {
            let other = Segment::create("other", bytes).unwrap();
            assert_eq!(Slot::open(other.descriptor().unwrap()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
