//! [`usage`] and [`footprint`]: what a process uses now.

use std::path::PathBuf;

use crate::Error;

/// What a process uses, read cheaply: once a second for every worker costs nothing worth mentioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes in memory now, shared ones included (RSS).
    pub resident: u64,
    /// The part of `resident` that is backed by files or shared memory: the program itself, libraries, segments.
    pub shared: u64,
    /// Bytes of address space (most of it costs nothing).
    pub virtual_size: u64,
}

impl Usage {
    /// Bytes in memory that belong to this process alone, nearly: resident without shared. The figure to watch for
    /// leaks.
    pub fn private(&self) -> u64 {
        self.resident.saturating_sub(self.shared)
    }
}

/// What a process uses, exactly. The kernel walks all mappings for it (0.1 to several ms): for reports, not for loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Footprint {
    /// Bytes in memory now (RSS).
    pub resident: u64,
    /// Each page divided by the number of processes that share it (PSS): the figure to add up over a process tree.
    pub proportional: u64,
    /// Bytes that only this process maps.
    pub private: u64,
    /// Bytes of heap and stacks, not backed by a file.
    pub anonymous: u64,
    /// Bytes moved out to swap.
    pub swapped: u64,
}

/// What this process uses now.
///
/// ```
/// let usage = phalanx_memory::usage()?;
/// assert!(usage.resident > 0 && usage.resident <= usage.virtual_size);
/// # Ok::<(), phalanx_memory::Error>(())
/// ```
pub fn usage() -> Result<Usage, Error> {
    read_usage("self")
}

/// What another process uses now. Any process of the machine may be asked.
pub fn usage_of(pid: u32) -> Result<Usage, Error> {
    read_usage(&pid.to_string())
}

/// What this process uses now, exactly and slowly.
pub fn footprint() -> Result<Footprint, Error> {
    read_footprint("self")
}

/// What another process uses now, exactly and slowly. Only a process of the same user may be asked.
pub fn footprint_of(pid: u32) -> Result<Footprint, Error> {
    read_footprint(&pid.to_string())
}

fn read_usage(process: &str) -> Result<Usage, Error> {
    let page = rustix::param::page_size() as u64;
    read(format!("/proc/{process}/statm").into(), |text| parse_statm(text, page))
}

fn read_footprint(process: &str) -> Result<Footprint, Error> {
    read(format!("/proc/{process}/smaps_rollup").into(), parse_smaps_rollup)
}

fn read<T>(path: PathBuf, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text).ok_or(Error::Garbled { path }),
        Err(source) => Err(Error::Unreadable { path, source }),
    }
}

/// `SIZE RESIDENT SHARED TEXT LIB DATA DIRTY`, all in pages.
fn parse_statm(text: &str, page: u64) -> Option<Usage> {
    let mut fields = text.split_whitespace().map(|field| field.parse::<u64>().ok()?.checked_mul(page));
    let mut next = || fields.next().flatten();
    Some(Usage { virtual_size: next()?, resident: next()?, shared: next()? })
}

/// Lines of `Name:  1744 kB` after a header line.
fn parse_smaps_rollup(text: &str) -> Option<Footprint> {
    let bytes = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Footprint {
        resident: bytes("Rss")?,
        proportional: bytes("Pss")?,
        private: bytes("Private_Clean")?.checked_add(bytes("Private_Dirty")?)?,
        anonymous: bytes("Anonymous")?,
        swapped: bytes("Swap")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "55ee2c9b4000-7ffe6565a000 ---p 00000000 00:00 0                          [rollup]\n\
        Rss:                1744 kB\nPss:                 404 kB\nPss_Dirty:           112 kB\nPss_Anon:            112 kB\n\
        Shared_Clean:       1592 kB\nPrivate_Clean:        40 kB\nPrivate_Dirty:       112 kB\nAnonymous:           112 kB\n\
        Swap:                  8 kB\nSwapPss:               0 kB\n";

    #[test]
    fn statm_counts_pages() {
        let usage = parse_statm("765 412 384 5 0 123 0\n", 4096).unwrap();
        assert_eq!((usage.virtual_size, usage.resident, usage.shared), (765 * 4096, 412 * 4096, 384 * 4096));
        assert_eq!(usage.private(), 28 * 4096);
    }

    #[test]
    fn smaps_rollup_counts_kibibytes() {
        let footprint = parse_smaps_rollup(ROLLUP).unwrap();
        assert_eq!(footprint.resident, 1744 * 1024);
        assert_eq!(footprint.proportional, 404 * 1024);
        assert_eq!(footprint.private, 152 * 1024);
        assert_eq!(footprint.anonymous, 112 * 1024);
        assert_eq!(footprint.swapped, 8 * 1024);
    }

    #[test]
    fn garbage_is_an_error_not_a_number() {
        for text in ["", "1 2", "a b c", "-1 2 3", "18446744073709551615 1 1", "\u{0}"] {
            assert_eq!(parse_statm(text, 4096), None, "{text:?}");
            assert_eq!(parse_smaps_rollup(text), None, "{text:?}");
        }
        assert_eq!(parse_smaps_rollup(&ROLLUP.replace("404 kB", "404 MB")), None);
    }

    #[test]
    fn memory_that_we_fill_shows_up() {
        let before = usage().unwrap().resident;
        let filled = vec![1_u8; 64 << 20];
        assert!(usage().unwrap().resident >= before + (48 << 20));
        assert!(footprint().unwrap().anonymous >= 48 << 20);
        drop(std::hint::black_box(filled));
    }

    #[test]
    fn another_process_can_be_asked_and_one_that_is_gone_is_an_error() {
        assert!(usage_of(std::process::id()).unwrap().resident > 0);
        assert!(footprint_of(std::process::id()).unwrap().resident > 0);
        // Above the largest pid that Linux gives out (2^22).
        let gone = usage_of(u32::MAX).unwrap_err();
        assert!(matches!(gone, Error::Unreadable { .. }));
        assert!(gone.to_string().contains("/proc/4294967295/statm"), "{gone}");
    }
}
