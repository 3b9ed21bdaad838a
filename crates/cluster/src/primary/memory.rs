//! The resident memory of the workers, as the kernel counts it, and how short memory is around the cluster.
//!
//! The primary looks, not the worker: one whose event loop stands still can grow as well. `/proc/PID/statm` stays open for
//! each, so that a look is one system call of about 2 µs; with no limit on memory, it is taken every fifth second only.
//! Around the cluster are its control groups and the machine: a handful of short files, some 25 µs every fifth second.

use std::fs::File;
use std::os::unix::fs::FileExt;

use phalanx_memory::{Stall, Totals, TotalsReader};
use phalanx_process::Process;
use phalanx_shared::{ClusterField, Field};

use super::Primary;
use crate::supervisor::Input;

/// Seconds from one sample to the next where nothing depends on it.
const RELAXED_SECONDS: u64 = 5;

/// Where the memory of one worker can be read.
#[derive(Debug)]
pub(super) struct Statm(Option<File>);

impl Statm {
    /// Opened while the process is not reaped, so it is that of this process for ever.
    pub(super) fn of(process: &Process) -> Statm {
        Statm(File::open(format!("/proc/{}/statm", process.pid())).ok())
    }

    /// That of this process.
    fn own() -> Statm {
        Statm(File::open("/proc/self/statm").ok())
    }

    /// Resident bytes; `None` if they cannot be read (a process that ended).
    fn resident(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.0.as_ref()?.read_at(&mut text, 0).ok()?;
        let pages = resident_pages(text.get(..length)?)?;
        pages.checked_mul(rustix::param::page_size() as u64)
    }
}

/// The memory around the cluster, and the primary's own.
#[derive(Debug)]
pub(super) struct Surroundings {
    reader: TotalsReader,
    own: Statm,
    /// As last read; at most [`RELAXED_SECONDS`] old.
    pub(super) totals: Totals,
}

impl Surroundings {
    pub(super) fn look() -> Surroundings {
        let reader = TotalsReader::new();
        Surroundings { own: Statm::own(), totals: reader.read(), reader }
    }
}

/// The second number.
fn resident_pages(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

impl Primary {
    /// Writes each worker's memory on its page, and what is around the cluster on the cluster's, if it is time.
    pub(super) fn sample_memory(&mut self) {
        let relaxed = self.seconds.is_multiple_of(RELAXED_SECONDS);
        self.seconds += 1;
        if relaxed || self.memory_limited || self.operations.running().is_some() {
            self.sample_surroundings();
        }
        if !self.memory_limited && !relaxed {
            return;
        }
        for running in self.workers.values() {
            let page = self.slots.get(usize::from(running.birth.page.0));
            if let (Some(page), Some(bytes)) = (page, running.statm.resident()) {
                page.set(Field::ResidentBytes, bytes);
            }
        }
    }

    fn sample_surroundings(&mut self) {
        let Surroundings { reader, own, totals } = &mut self.surroundings;
        *totals = reader.read();
        let page = &self.cluster;
        page.set(ClusterField::MemoryTotal, totals.limit.bytes);
        page.set(ClusterField::MemoryUsed, totals.used.unwrap_or(0));
        let pressure = totals.pressure.unwrap_or_default();
        page.set(ClusterField::MemoryPressureSome, hundredths(pressure.some));
        page.set(ClusterField::MemoryPressureFull, hundredths(pressure.full));
        if let Some(bytes) = own.resident() {
            page.set(ClusterField::PrimaryResidentBytes, bytes);
        }
        // Before the tick that is about to be fed: it may replace somebody.
        self.inputs.extend(totals.free.map(Input::HeadRoom));
    }
}

/// The share of the last 10 s in 1/100 %.
fn hundredths(stall: Stall) -> u64 {
    (stall.ten_seconds * 100.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::resident_pages;

    #[test]
    fn the_second_number_of_statm_is_the_resident_part() {
        assert_eq!(resident_pages(b"5400 812 700 20 0 300 0\n"), Some(812));
        assert_eq!(resident_pages(b""), None);
        assert_eq!(resident_pages(b"5400"), None);
    }
}
