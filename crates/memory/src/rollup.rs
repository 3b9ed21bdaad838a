//! Two texts of the kernel on the memory of a process: `/proc/PID/smaps_rollup` and `/proc/PID/status`.

use crate::usage::{Usage, UsageSource};

/// What `smaps_rollup` says, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rollup {
    pub(crate) resident: u64,
    pub(crate) proportional: u64,
    pub(crate) unique: u64,
    pub(crate) anonymous: u64,
    pub(crate) swapped: Option<u64>,
}

/// Lines of `Name:  1744 kB` after a header line.
pub(crate) fn parse(text: &str) -> Option<Rollup> {
    let bytes = |name| bytes(text, name);
    Some(Rollup {
        resident: bytes("Rss")?,
        proportional: bytes("Pss")?,
        unique: bytes("Private_Clean")?.checked_add(bytes("Private_Dirty")?)?,
        anonymous: bytes("Anonymous")?,
        swapped: bytes("Swap"),
    })
}

/// The same form, among much else; a line that is missing (older kernels, other systems' `/proc`) is `None`.
pub(crate) fn parse_status(text: &str) -> Usage {
    let bytes = |name| bytes(text, name);
    Usage {
        resident: bytes("VmRSS"),
        anonymous: bytes("RssAnon"),
        file: bytes("RssFile"),
        shared: bytes("RssShmem"),
        swapped: bytes("VmSwap"),
        source: UsageSource::Status,
        ..Usage::default()
    }
}

fn bytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "55ee2c9b4000-7ffe6565a000 ---p 00000000 00:00 0                          [rollup]\n\
        Rss:                1744 kB\nPss:                 404 kB\nPss_Dirty:           112 kB\nPss_Anon:            112 kB\n\
        Shared_Clean:       1592 kB\nPrivate_Clean:        40 kB\nPrivate_Dirty:       112 kB\nAnonymous:           112 kB\n\
        Swap:                  8 kB\nSwapPss:               0 kB\n";

    const STATUS: &str = "Name:\tphalanx\nUmask:\t0022\nVmHWM:\t    2100 kB\nVmRSS:\t    2036 kB\nRssAnon:\t     152 kB\n\
        RssFile:\t    1884 kB\nRssShmem:\t       4 kB\nVmSwap:\t       0 kB\n";

    #[test]
    fn smaps_rollup_counts_kibibytes() {
        let rollup = parse(ROLLUP).unwrap();
        assert_eq!(rollup.resident, 1744 * 1024);
        assert_eq!(rollup.proportional, 404 * 1024);
        assert_eq!(rollup.unique, 152 * 1024);
        assert_eq!(rollup.anonymous, 112 * 1024);
        assert_eq!(rollup.swapped, Some(8 * 1024));
    }

    #[test]
    fn status_tells_heap_files_and_shared_memory_apart() {
        let usage = parse_status(STATUS);
        assert_eq!(usage.resident, Some(2036 * 1024));
        assert_eq!((usage.anonymous, usage.file, usage.shared), (Some(152 << 10), Some(1884 << 10), Some(4 << 10)));
        assert_eq!((usage.proportional, usage.swapped), (None, Some(0)));
    }

    #[test]
    fn what_is_missing_or_garbled_is_none_not_a_number() {
        for text in ["", "1 2", "Rss: x kB", "Rss:", "\u{0}", "VmRSS: 18446744073709551615 kB"] {
            assert_eq!(parse(text), None, "{text:?}");
            assert_eq!(parse_status(text).resident, None, "{text:?}");
        }
        assert_eq!(parse(&ROLLUP.replace("404 kB", "404 MB")), None);
    }
}
