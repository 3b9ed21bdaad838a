//! The resident memory of the workers, as the kernel counts it.
//!
//! The primary looks, not the worker: one whose event loop stands still can grow as well. `/proc/PID/statm` stays open for
//! each, so that a look is one system call of about 2 µs; with no limit on memory, it is taken every fifth second only.

use std::fs::File;
use std::os::unix::fs::FileExt;

use phalanx_process::Process;
use phalanx_shared::Field;

use super::Primary;

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

    /// Resident bytes; `None` if they cannot be read (a process that ended).
    fn resident(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.0.as_ref()?.read_at(&mut text, 0).ok()?;
        let pages = resident_pages(text.get(..length)?)?;
        pages.checked_mul(rustix::param::page_size() as u64)
    }
}

/// The second number.
fn resident_pages(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

impl Primary {
    /// Writes each worker's memory on its page, if it is time.
    pub(super) fn sample_memory(&mut self) {
        self.seconds += 1;
        if !self.memory_limited && !self.seconds.is_multiple_of(RELAXED_SECONDS) {
            return;
        }
        for running in self.workers.values() {
            let page = self.slots.get(usize::from(running.birth.page.0));
            if let (Some(page), Some(bytes)) = (page, running.statm.resident()) {
                page.set(Field::ResidentBytes, bytes);
            }
        }
    }
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
