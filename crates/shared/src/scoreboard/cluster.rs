//! [`ClusterPage`]: what the primary says of the whole cluster, and what remains of the workers that have ended.

use std::io;
use std::os::fd::OwnedFd;

use super::histogram::{HISTOGRAM_WORDS, SUM_AT};
use super::page::{FIELDS_END, Page};
use super::slot::Slot;
use super::{Buckets, Field, Histogram};

/// Identifies the layout; a reader refuses any other.
const CLUSTER_LAYOUT: u64 = 0x5048_4c43_0000_0001;
/// Where the sums over the workers that have ended begin.
const ENDED_AT: usize = 128;
/// The same for the histograms.
const ENDED_HISTOGRAMS_AT: usize = ENDED_AT + FIELDS_END;
/// Attempts to read all pages between two burials. A burial takes less time than a reading.
const TOTALS_ATTEMPTS: usize = 20_000;

macro_rules! cluster_fields {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What the primary says of the cluster. Plain counts but where a unit is named; those that count what has happened
        /// only grow, from the first start of the cluster, also across upgrades.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum ClusterField {
            $($(#[$doc])* $name = $number,)*
        }

        impl ClusterField {
            /// Every field, in the order of the layout.
            pub const ALL: &'static [ClusterField] = &[$(ClusterField::$name,)*];
        }
    };
}

cluster_fields! {
    /// Places that should have a worker.
    Wanted = 1,
    /// Workers that serve: ready, and, if there is a health gate, admitted.
    Serving = 2,
    /// Workers that have started and do not serve yet.
    Booting = 3,
    /// Workers that finish what they have.
    Draining = 4,
    /// Places without a worker: their breaker is open, or they are given up until a reload.
    Broken = 5,
    /// Worker processes started.
    Starts = 6,
    /// Worker processes that ended without being told to.
    Crashes = 7,
    /// Workers killed because they were not ready in time.
    KilledBoot = 8,
    /// Workers killed because their event loop stood still.
    KilledHung = 9,
    /// Workers killed because they did not finish in time.
    KilledDrain = 10,
    /// Workers killed because of their memory.
    KilledMemory = 11,
    /// Workers killed because two later generations served already.
    KilledOldGeneration = 12,
    /// Workers killed because the cluster had to stop at once.
    KilledStop = 13,
    /// Times that a place waited before its next start.
    BackOffs = 14,
    /// Times that the breaker of a place opened.
    BreakersOpened = 15,
    /// Reloads that did what was asked.
    ReloadsDone = 16,
    /// Reloads that failed; the old workers serve on.
    ReloadsFailed = 17,
    /// Upgrades that did what was asked.
    UpgradesDone = 18,
    /// Upgrades that failed.
    UpgradesFailed = 19,
    /// Returns to the program before an upgrade, by hand or because its reload failed.
    Rollbacks = 20,
    /// Workers replaced after their number of requests.
    RecycledRequests = 21,
    /// Workers replaced after their lifetime.
    RecycledLifetime = 22,
    /// Workers replaced because their memory passed the soft limit.
    RecycledMemory = 23,
    /// The generation that new workers get.
    Generation = 24,
    /// When the cluster began, in seconds since 1970.
    StartedAt = 25,
    /// When the last reload that did what was asked ended, in seconds since 1970; 0 if there was none.
    LastReloadAt = 26,
    /// Lines of the workers that were dropped because the log took no more.
    LogLinesDropped = 27,
    /// Times that the front process was started anew.
    FrontRestarts = 28,
    /// 1 from the moment when the cluster begins to stop.
    Stopping = 29,
    /// Events that the front did not get because it read too slowly.
    EventsDropped = 30,
    /// Workers killed because the health gate turned them away.
    KilledGate = 31,
    /// Process id of the primary.
    PrimaryPid = 32,
    /// Stack dumps made of hung workers.
    StackDumps = 33,
    /// Times that a worker said that it must not be restarted, so that its place is given up until a reload.
    GivenUp = 34,
    /// Workers killed because the worker that they were to replace stays after all.
    KilledUnneeded = 35,
    /// Workers replaced because a leak was suspected.
    RecycledLeak = 36,
    /// Bytes of memory that the cluster may use: the smallest limit of its control groups, or the machine's memory.
    MemoryTotal = 37,
    /// Bytes of memory that are in use where [`MemoryTotal`](Self::MemoryTotal) was found; page cache that can go is not counted.
    MemoryUsed = 38,
    /// Share of the last 10 s in which some task waited for memory, in 1/100 %.
    MemoryPressureSome = 39,
    /// Share of the last 10 s in which all tasks waited for memory, in 1/100 %.
    MemoryPressureFull = 40,
    /// Resident memory of the primary, in bytes.
    PrimaryResidentBytes = 41,
    /// Workers and job processes that the kernel has ended because of a memory limit.
    OutOfMemoryKills = 42,
}

/// The page that the primary writes and everybody may read.
#[derive(Debug)]
pub struct ClusterPage {
    page: Page,
}

/// Sums over all workers that the cluster has had. See [`ClusterPage::totals`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    counters: [u64; FIELDS_END],
    histograms: [Buckets; Histogram::ALL.len()],
}

impl Totals {
    /// The sum of a field that [only grows](Field::is_counter); 0 for others.
    pub fn get(&self, field: Field) -> u64 {
        self.counters[field as usize]
    }

    /// What all workers measured.
    pub fn histogram(&self, histogram: Histogram) -> &Buckets {
        &self.histograms[histogram as usize]
    }

    fn empty() -> Totals {
        Totals { counters: [0; FIELDS_END], histograms: Default::default() }
    }

    fn add(&mut self, slot: &Slot) {
        for field in counters() {
            let sum = &mut self.counters[field as usize];
            *sum = sum.wrapping_add(slot.get(field));
        }
        for histogram in Histogram::ALL {
            self.histograms[histogram as usize].add(&slot.histogram(histogram).read());
        }
    }
}

impl ClusterPage {
    /// Creates a page of zeros.
    pub fn create() -> io::Result<ClusterPage> {
        Ok(ClusterPage { page: Page::create("phalanx-cluster", CLUSTER_LAYOUT)? })
    }

    /// Opens a page whose descriptor came from another process.
    pub fn open(descriptor: OwnedFd) -> io::Result<ClusterPage> {
        Ok(ClusterPage { page: Page::open(descriptor, CLUSTER_LAYOUT)? })
    }

    /// A descriptor through which the page may be written: for the primary after an upgrade.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.page.segment().descriptor()
    }

    /// A descriptor through which the page can only be read: for everybody else.
    pub fn read_only_descriptor(&self) -> io::Result<OwnedFd> {
        self.page.segment().read_only_descriptor()
    }

    /// The value of `field` now.
    pub fn get(&self, field: ClusterField) -> u64 {
        self.page.get(field as usize)
    }

    /// Sets `field`. Without effect on a page that was opened read-only.
    pub fn set(&self, field: ClusterField, value: u64) {
        self.page.set(field as usize, value);
    }

    /// Adds `amount` to `field`. Without effect on a page that was opened read-only.
    pub fn add(&self, field: ClusterField, amount: u64) {
        self.page.add(field as usize, amount);
    }

    /// Whether requests are answered now: a worker serves, and the cluster does not stop.
    pub fn is_ready(&self) -> bool {
        self.get(ClusterField::Serving) > 0 && self.get(ClusterField::Stopping) == 0
    }

    /// Adds what the worker in `slot` has counted to the sums over those that have ended, and [vacates](Slot::vacate) the
    /// slot. No [`totals`](Self::totals) counts it twice or misses it.
    ///
    /// ```
    /// use phalanx_shared::{ClusterPage, Field, Slot};
    ///
    /// let (cluster, slot) = (ClusterPage::create()?, Slot::create()?);
    /// slot.add(Field::Requests, 3);
    /// assert_eq!(cluster.totals([&slot]).get(Field::Requests), 3);
    /// cluster.bury(&slot); // its worker was killed; another takes the slot
    /// slot.add(Field::Requests, 1);
    /// assert_eq!(cluster.totals([&slot]).get(Field::Requests), 4);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bury(&self, slot: &Slot) {
        self.page.change(|| {
            for field in counters() {
                self.page.add(ENDED_AT + field as usize, slot.get(field));
            }
            for histogram in Histogram::ALL {
                let first = ended_histogram_at(histogram);
                let buckets = slot.histogram(histogram).read();
                for (index, count) in buckets.counts().iter().enumerate() {
                    self.page.add(first + index, *count);
                }
                self.page.add(first + SUM_AT, buckets.sum().as_micros() as u64);
            }
            slot.vacate();
        });
    }

    /// Sums over the workers in `slots` and all that have ended. They never get smaller, if `slots` are all slots of the cluster.
    pub fn totals<'a, I>(&self, slots: I) -> Totals
    where
        I: IntoIterator<Item = &'a Slot>,
        I::IntoIter: Clone,
    {
        let slots = slots.into_iter();
        let read = || {
            let mut totals = self.ended();
            slots.clone().for_each(|slot| totals.add(slot));
            totals
        };
        // A primary that was killed in the middle of a burial buries nobody any more: then this is the last word.
        self.page.unchanged(TOTALS_ATTEMPTS, read).map_or_else(read, |(_, totals)| totals)
    }

    fn ended(&self) -> Totals {
        let mut totals = Totals::empty();
        for field in counters() {
            totals.counters[field as usize] = self.page.get(ENDED_AT + field as usize);
        }
        for histogram in Histogram::ALL {
            let first = ended_histogram_at(histogram);
            totals.histograms[histogram as usize] = Buckets::read(|index| self.page.get(first + index));
        }
        totals
    }
}

fn counters() -> impl Iterator<Item = Field> {
    Field::ALL.into_iter().filter(|field| field.is_counter())
}

fn ended_histogram_at(histogram: Histogram) -> usize {
    ENDED_HISTOGRAMS_AT + histogram as usize * HISTOGRAM_WORDS
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn sums_only_grow_while_workers_come_and_go() {
        let (cluster, slots) = (ClusterPage::create().unwrap(), [Slot::create().unwrap(), Slot::create().unwrap()]);
        let reader = ClusterPage::open(cluster.read_only_descriptor().unwrap()).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..3_000 {
                    let slot = &slots[round % 2];
                    slot.add(Field::Requests, 1);
                    slot.histogram(Histogram::Work).record(Duration::from_micros(20));
                    cluster.bury(slot);
                    std::thread::yield_now();
                }
                stop.store(true, Ordering::Release);
            });
            let mut last = (0, 0);
            while !stop.load(Ordering::Acquire) {
                let totals = reader.totals(&slots);
                let seen = (totals.get(Field::Requests), totals.histogram(Histogram::Work).count());
                assert!(seen.0 >= last.0 && seen.1 >= last.1, "{seen:?} after {last:?}");
                last = seen;
            }
        });
        let totals = reader.totals(&slots);
        assert_eq!((totals.get(Field::Requests), totals.histogram(Histogram::Work).count()), (3_000, 3_000));
        assert_eq!(totals.histogram(Histogram::Work).sum(), Duration::from_micros(20 * 3_000));
        assert_eq!(totals.get(Field::Connections), 0);
    }

    #[test]
    fn a_burial_that_was_cut_short_does_not_hold_up_a_reader() {
        let (cluster, slot) = (ClusterPage::create().unwrap(), Slot::create().unwrap());
        slot.add(Field::Requests, 5);
        cluster.page.word(super::super::page::CHANGES_AT).store(1, Ordering::Release);
        assert_eq!(cluster.totals([&slot]).get(Field::Requests), 5);
    }

    #[test]
    fn a_reader_cannot_change_the_page_and_a_slot_is_no_cluster_page() {
        let cluster = ClusterPage::create().unwrap();
        let reader = ClusterPage::open(cluster.read_only_descriptor().unwrap()).unwrap();
        cluster.set(ClusterField::Serving, 2);
        reader.add(ClusterField::Serving, 7);
        assert_eq!((reader.get(ClusterField::Serving), reader.is_ready()), (2, true));
        cluster.set(ClusterField::Stopping, 1);
        assert!(!reader.is_ready());
        assert!(Slot::open(cluster.descriptor().unwrap()).is_err());
        assert!(ClusterPage::open(Slot::create().unwrap().descriptor().unwrap()).is_err());
    }

    #[test]
    fn every_field_is_where_it_was() {
        let cluster = ClusterPage::create().unwrap();
        for (index, field) in ClusterField::ALL.iter().enumerate() {
            assert_eq!(*field as usize, 1 + index);
            cluster.set(*field, 100 + index as u64);
            assert_eq!(cluster.page.get(1 + index), 100 + index as u64);
        }
        assert!(ClusterField::ALL.len() < FIELDS_END);
        assert!(ended_histogram_at(Histogram::Work) + HISTOGRAM_WORDS <= super::super::page::WORDS);
    }
}
