//! [`descriptors`]: how many file descriptors this process has open.

use std::fs::File;
use std::os::fd::AsRawFd;

const FOLDER: &str = "/proc/self/fd";

/// File descriptors that this process has open now. One system call on Linux 6.2 and newer, else one entry of `/proc` for
/// each descriptor.
///
/// With `/proc` hidden it is the lowest number that is free: as many or fewer than there are, but it grows with them.
///
/// ```
/// let _file = std::fs::File::open("/").unwrap();
/// assert!(phalanx_memory::descriptors() > 0);
/// ```
pub fn descriptors() -> u64 {
    by_size().or_else(by_entries).or_else(lowest_free).unwrap_or(0)
}

/// The kernel gives the number as the folder's size; older ones give 0.
fn by_size() -> Option<u64> {
    std::fs::metadata(FOLDER).ok().map(|folder| folder.len()).filter(|count| *count > 0)
}

fn by_entries() -> Option<u64> {
    let entries = std::fs::read_dir(FOLDER).ok()?.count() as u64;
    // One of them was opened to count.
    Some(entries.saturating_sub(1))
}

/// A new descriptor gets the lowest free number.
fn lowest_free() -> Option<u64> {
    u64::try_from(File::open("/").ok()?.as_raw_fd()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_count_see_descriptors_that_stay_open() {
        let ways = [descriptors, || by_entries().unwrap(), || lowest_free().unwrap()];
        let before = ways.map(|way| way());
        // Other tests of this process open and close files meanwhile: a few more or less.
        let opened: Vec<_> = (0..200).map(|_| File::open("/").unwrap()).collect();
        for (way, before) in ways.iter().zip(before) {
            assert!(way().abs_diff(before + 200) < 50, "{before} before, {} now", way());
        }
        drop(opened);
    }
}
