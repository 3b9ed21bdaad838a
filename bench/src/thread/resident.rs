//! Memory of this process.

use measuring::{During, Failure};

/// KiB that are resident, as the kernel counts them page by page.
pub(crate) fn kibibytes() -> Result<f64, Failure> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").during("read /proc/self/smaps_rollup")?;
    of(&rollup).ok_or_else(|| Failure::new("there is no Rss in /proc/self/smaps_rollup"))
}

fn of(rollup: &str) -> Option<f64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_is_told_apart_from_its_shares() {
        assert_eq!(of("Pss:                 12 kB\nRss:                2048 kB\nPss_Dirty:  1 kB\n"), Some(2048.0));
        assert_eq!(of("Pss: 12 kB\n"), None);
    }
}
