//! The watch over a worker's memory: a thread that looks, writes the worker's page, and asks whether anything leaks.
//!
//! ```text
//!   page: requests, in flight ──► Pace: when to look          ┌─► page: allocated, active, retained, descriptors
//!   the allocator, descriptors ──────────────────────► a look ┼─► LeakDetector ×2 ──► ToPrimary::Leaks
//!   smaps_rollup, each fifth second ──► page: the rest        └─► Surplus ──► give_back()
//! ```
//!
//! It is a thread and no task: what it reads takes up to some milliseconds in a large process, and the event loop has to
//! turn meanwhile; it also goes on when the loop stands still. With `/proc` hidden, what the allocator says remains.

mod pace;
mod surplus;

use std::sync::Arc;
use std::time::{Duration, Instant};

use phalanx_channel::Packets;
use phalanx_memory::{Heap, LeakDetector, Resource, Sample};
use phalanx_shared::{Field, Slot};

use super::tell;
use crate::Error;
use crate::control::ToPrimary;
use pace::Pace;
use surplus::Surplus;

/// From one look at all mappings to the next. It takes up to several milliseconds in a large process.
const MAPPINGS_EVERY: Duration = Duration::from_secs(5);

/// It calls little, and not deeply.
const STACK_BYTES: usize = 128 * 1024;

/// Begins to watch; ends with the process.
pub(super) fn start(slot: Arc<Slot>, control: Arc<Packets>) -> Result<(), Error> {
    let watch = Watch {
        slot,
        control,
        memory: LeakDetector::new(Resource::Memory),
        descriptors: LeakDetector::new(Resource::Descriptors),
        surplus: Surplus::default(),
        mappings_due: Instant::now(),
    };
    std::thread::Builder::new()
        .name("memory-watch".into())
        .stack_size(STACK_BYTES)
        .spawn(move || watch.run())
        .map(|_| ())
        .map_err(Error::system("start the watch over the memory"))
}

struct Watch {
    slot: Arc<Slot>,
    control: Arc<Packets>,
    memory: LeakDetector,
    descriptors: LeakDetector,
    surplus: Surplus,
    mappings_due: Instant,
}

/// What a worker has under way and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Activity {
    /// Requests begun; jobs done, in a worker that serves none.
    work: u64,
    /// Requests and jobs that are in work or wait.
    under_way: u64,
    /// The same and open connections: what may hold memory or descriptors rightly.
    load: u64,
}

impl Activity {
    fn of(slot: &Slot) -> Activity {
        let sum = |fields: &[Field]| fields.iter().fold(0_u64, |sum, field| sum.saturating_add(slot.get(*field)));
        let under_way = sum(&[Field::InFlight, Field::BusyThreads, Field::QueueDepth]);
        Activity {
            work: slot.get(Field::Requests).max(slot.get(Field::JobsDone)),
            under_way,
            load: under_way.saturating_add(slot.get(Field::Connections)),
        }
    }
}

impl Watch {
    fn run(mut self) {
        let mut pace = Pace::new(Instant::now());
        loop {
            let (now, activity) = (Instant::now(), Activity::of(&self.slot));
            if pace.is_due(now, activity.work) {
                let begun = processor_time();
                self.look(now, activity);
                pace.looked(now, activity.work, processor_time().saturating_sub(begun));
            }
            std::thread::sleep(pace.doze(Instant::now(), activity.work));
        }
    }

    fn look(&mut self, at: Instant, activity: Activity) {
        let heap = phalanx_memory::heap();
        let live = heap.map(|heap| heap.allocated).or_else(|| phalanx_memory::anonymous().ok());
        let open = phalanx_memory::descriptors();
        self.slot.set(Field::Descriptors, open);
        if let Some(heap) = &heap {
            self.write_heap(heap);
        }
        if at >= self.mappings_due {
            self.write_mappings();
            self.mappings_due = at + MAPPINGS_EVERY;
        }
        let Activity { work, load, .. } = activity;
        let leaks = [
            live.and_then(|value| self.memory.add(Sample { at, work, load, value })),
            self.descriptors.add(Sample { at, work, load, value: open }),
        ];
        for leak in leaks.into_iter().flatten() {
            self.slot.add(Field::Leaks, 1);
            tell(&self.control, &ToPrimary::Leaks(leak));
        }
        if let Some(heap) = heap {
            self.return_surplus(at, activity, heap);
        }
    }

    fn return_surplus(&mut self, at: Instant, activity: Activity, before: Heap) {
        if !self.surplus.is_due(at, activity, &before) {
            return;
        }
        phalanx_memory::give_back();
        let cost = at.elapsed();
        let after = phalanx_memory::heap().unwrap_or(before);
        self.write_heap(&after);
        self.surplus.gave_back(at + cost, cost, &before, &after);
    }

    fn write_heap(&self, heap: &Heap) {
        self.slot.set(Field::AllocatedBytes, heap.allocated);
        self.slot.set(Field::ActiveBytes, heap.active);
        self.slot.set(Field::RetainedBytes, heap.retained);
    }

    fn write_mappings(&self) {
        let Ok(usage) = phalanx_memory::usage() else { return };
        let figures = [
            (Field::ProportionalBytes, usage.proportional),
            (Field::UniqueBytes, usage.unique),
            (Field::AnonymousBytes, usage.anonymous),
            (Field::FileBytes, usage.file),
            (Field::SharedBytes, usage.shared),
        ];
        for (field, bytes) in figures {
            self.slot.set(field, bytes.unwrap_or(0));
        }
    }
}

/// What this thread has computed so far. Not the clock on the wall: on a machine with more to do than cores, a look that
/// had to wait for its turn would be taken for a dear one, and the next would come too late.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_connections_are_load_but_not_under_way() {
        let slot = Slot::create().unwrap();
        for (field, count) in
            [(Field::Connections, 10), (Field::InFlight, 3), (Field::QueueDepth, 2), (Field::BusyThreads, 1)]
        {
            slot.set(field, count);
        }
        slot.set(Field::Requests, 70);
        slot.set(Field::JobsDone, 60);
        assert_eq!(Activity::of(&slot), Activity { work: 70, under_way: 6, load: 16 });
    }
}
