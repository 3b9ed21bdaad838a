//! [`cpu_quota`] and [`usable_cores`]: how much computing power this process may use.

use std::path::Path;

use crate::cgroup::{self, Level, Version};
use crate::files::{Files, Machine};

/// The smallest processor quota of all control groups that this process is in, in cores (1.5 means 150 ms of computing
/// in each 100 ms); `None` if nothing limits it.
///
/// Under a quota, threads that burn time while they wait (spin) use up what others need.
///
/// ```
/// match phalanx_memory::cpu_quota() {
///     Some(cores) => println!("limited to {cores} cores"),
///     None => println!("no quota"),
/// }
/// ```
pub fn cpu_quota() -> Option<f64> {
    quota_of(&Machine)
}

/// How many threads can compute at once without being throttled: the cores of the affinity mask, or the
/// [quota](cpu_quota) *rounded down* if that is less; at least 1.
///
/// Rounded down because with 1.5 cores two busy threads are stopped for a quarter of each period, at a moment that
/// nobody chose; one thread never is.
///
/// ```
/// assert!(phalanx_memory::usable_cores() >= 1);
/// ```
pub fn usable_cores() -> usize {
    cores_of(affinity(), cpu_quota())
}

fn affinity() -> usize {
    match rustix::thread::sched_getaffinity(None) {
        Ok(cores) if cores.count() > 0 => cores.count() as usize,
        // More cores than the mask of rustix holds, or a sandbox that forbids the call.
        _ => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn cores_of(affinity: usize, quota: Option<f64>) -> usize {
    let by_quota = quota.map_or(usize::MAX, |cores| cores as usize);
    affinity.min(by_quota).max(1)
}

fn quota_of(files: &impl Files) -> Option<f64> {
    cgroup::levels(files, "cpu").iter().filter_map(|level| level_quota(files, level)).min_by(f64::total_cmp)
}

fn level_quota(files: &impl Files, level: &Level) -> Option<f64> {
    let read = |file: &str| files.read(&Path::new(&level.folder).join(file));
    match level.version {
        Version::V2 => parse_cpu_max(&read("cpu.max")?),
        Version::V1 => parse_cfs(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?),
    }
}

/// `QUOTA PERIOD` in microseconds, `max PERIOD` without a limit; the period may be absent (100 ms).
fn parse_cpu_max(text: &str) -> Option<f64> {
    const USUAL_PERIOD_US: &str = "100000";
    let mut fields = text.split_whitespace();
    let quota = fields.next()?;
    ratio(quota, fields.next().unwrap_or(USUAL_PERIOD_US))
}

/// The two files of version 1; a quota of -1 is none.
fn parse_cfs(quota: &str, period: &str) -> Option<f64> {
    ratio(quota, period)
}

fn ratio(quota: &str, period: &str) -> Option<f64> {
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok()?;
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Written;

    const V2_MOUNT: &str = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1_MOUNT: &str = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

    #[test]
    fn the_smallest_quota_on_the_path_counts() {
        let files = Written(&[
            ("/proc/self/cgroup", "0::/pod/container\n"),
            ("/proc/self/mountinfo", V2_MOUNT),
            ("/sys/fs/cgroup/pod/container/cpu.max", "400000 100000\n"),
            ("/sys/fs/cgroup/pod/cpu.max", "150000 100000\n"),
        ]);
        assert_eq!(quota_of(&files), Some(1.5));
    }

    #[test]
    fn version_1_quotas_count_and_minus_one_is_none() {
        let limited = Written(&[
            ("/proc/self/cgroup", "2:cpu,cpuacct:/job\n"),
            ("/proc/self/mountinfo", V1_MOUNT),
            ("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "50000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(quota_of(&limited), Some(0.5));
        assert_eq!(quota_of(&Written(&[])), None);
    }

    #[test]
    fn max_and_garbage_are_no_quota() {
        for text in ["max 100000", "max", "", "x y", "0 100000", "100000 0", "-5 100000", "1.5 2"] {
            assert_eq!(parse_cpu_max(text), None, "{text:?}");
        }
        assert_eq!(parse_cpu_max("200000"), Some(2.0));
    }

    #[test]
    fn cores_are_rounded_down_but_never_to_none() {
        assert_eq!(cores_of(8, None), 8);
        assert_eq!(cores_of(8, Some(1.9)), 1);
        assert_eq!(cores_of(8, Some(0.1)), 1);
        assert_eq!(cores_of(2, Some(64.0)), 2);
        assert_eq!(cores_of(0, None), 1);
    }
}
