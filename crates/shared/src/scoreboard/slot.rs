//! [`Slot`]: one worker's page of the scoreboard.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::histogram::{HISTOGRAM_WORDS, SUM_AT};
use super::page::{CHANGES_AT, Page, WORDS};
use super::{Buckets, Field, Histogram};
use crate::Generation;

/// Identifies the layout; a reader refuses any other.
const SLOT_LAYOUT: u64 = 0x5048_4c58_0000_0001;
/// Where the histograms begin.
const HISTOGRAMS_AT: usize = 128;
/// Attempts to see one occupant only. Who replaces workers faster than a few words can be read is broken.
const SNAPSHOT_ATTEMPTS: usize = 1000;

/// All fields of one worker. See [`Slot::snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    generation: Generation,
    values: [u64; Field::ALL.len()],
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
    page: Page,
}

impl Slot {
    /// Creates a vacant slot.
    pub fn create() -> io::Result<Slot> {
        Ok(Slot { page: Page::create("phalanx-scoreboard", SLOT_LAYOUT)? })
    }

    /// Opens a slot whose descriptor came from another process.
    pub fn open(descriptor: OwnedFd) -> io::Result<Slot> {
        Ok(Slot { page: Page::open(descriptor, SLOT_LAYOUT)? })
    }

    /// A descriptor through which a worker may write this slot: for the worker that holds it.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.page.segment().descriptor()
    }

    /// A descriptor through which this slot can only be read: for everybody else.
    pub fn read_only_descriptor(&self) -> io::Result<OwnedFd> {
        self.page.segment().read_only_descriptor()
    }

    /// The value of `field` now.
    pub fn get(&self, field: Field) -> u64 {
        self.page.get(field as usize)
    }

    /// Sets `field`. Without effect on a slot that was opened read-only.
    pub fn set(&self, field: Field, value: u64) {
        self.page.set(field as usize, value);
    }

    /// Adds `amount` to `field`. Without effect on a slot that was opened read-only.
    pub fn add(&self, field: Field, amount: u64) {
        self.page.add(field as usize, amount);
    }

    /// Takes `amount` from `field`. Without effect on a slot that was opened read-only.
    pub fn subtract(&self, field: Field, amount: u64) {
        self.page.subtract(field as usize, amount);
    }

    /// A histogram of this worker, to record into or to read.
    ///
    /// ```
    /// use phalanx_shared::{Histogram, Slot};
    /// use std::time::Duration;
    ///
    /// let slot = Slot::create()?;
    /// slot.histogram(Histogram::QueueWait).record(Duration::from_millis(3));
    /// let waits = slot.histogram(Histogram::QueueWait).read();
    /// assert_eq!((waits.count(), waits.sum()), (1, Duration::from_millis(3)));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn histogram(&self, histogram: Histogram) -> SlotHistogram<'_> {
        SlotHistogram { page: &self.page, first: HISTOGRAMS_AT + histogram as usize * HISTOGRAM_WORDS }
    }

    /// Sets everything to zero: the worker that wrote here is gone, and the next [generation](Slot::generation) begins.
    pub fn vacate(&self) {
        self.page.change(|| {
            (1..WORDS).filter(|index| *index != CHANGES_AT).for_each(|index| {
                self.page.word(index).store(0, Ordering::Relaxed);
            });
        });
    }

    /// How many workers this slot has had before the one that writes it now. A reader who sees another one than before
    /// knows that the worker was replaced, and that its counters began anew.
    pub fn generation(&self) -> Generation {
        Generation(self.page.changes() as u32)
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
        let (changes, values) = self.page.unchanged(SNAPSHOT_ATTEMPTS, || Field::ALL.map(|field| self.get(field)))?;
        Some(Snapshot { generation: Generation(changes as u32), values })
    }
}

/// A histogram in a slot. See [`Slot::histogram`].
#[derive(Debug, Clone, Copy)]
pub struct SlotHistogram<'a> {
    page: &'a Page,
    first: usize,
}

impl SlotHistogram<'_> {
    /// Counts one that took `time`. Any thread of the worker may. Without effect on a slot that was opened read-only.
    pub fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.page.add(self.first + Buckets::index_of(micros), 1);
        self.page.add(self.first + SUM_AT, micros);
    }

    /// What was counted so far.
    pub fn read(&self) -> Buckets {
        Buckets::read(|index| self.page.get(self.first + index))
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
    fn a_vacant_slot_is_empty_also_where_this_version_knows_nothing() {
        let slot = Slot::create().unwrap();
        slot.page.set(WORDS - 1, 9);
        slot.page.set(63, 9);
        slot.histogram(Histogram::Request).record(Duration::from_secs(1));
        slot.vacate();
        assert_eq!((slot.page.get(WORDS - 1), slot.page.get(63)), (0, 0));
        assert_eq!(slot.histogram(Histogram::Request).read(), Buckets::default());
        assert!(Slot::open(slot.descriptor().unwrap()).is_ok());
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
        slot.page.word(CHANGES_AT).store(3, Ordering::Release);
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
            assert_eq!(slot.page.get(1 + index), 100 + index as u64);
        }
        assert_eq!(slot.page.get(0), SLOT_LAYOUT);
        for (index, histogram) in Histogram::ALL.into_iter().enumerate() {
            slot.histogram(histogram).record(Duration::from_micros(16));
            slot.histogram(histogram).record(Duration::from_micros(33));
            let words = [0, 1, 2, 24].map(|word| slot.page.get(128 + 32 * index + word));
            assert_eq!(words, [1, 0, 1, 49]);
        }
    }

    #[test]
    fn memory_of_another_layout_is_refused() {
        for bytes in [8, 512, 4096] {
            let other = crate::Segment::create("other", bytes).unwrap();
            assert_eq!(Slot::open(other.descriptor().unwrap()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
