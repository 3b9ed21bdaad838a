//! [`total`]: how much memory this process may use at most.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::cgroup::{self, Level, Version};
use crate::files::{Files, Machine};

/// The memory that there is, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// In bytes.
    pub bytes: u64,
    /// Where the smallest limit was found.
    pub source: Source,
}

/// Who sets a memory limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A control group of version 2: its folder.
    CgroupV2(PathBuf),
    /// A control group of version 1: its folder.
    CgroupV1(PathBuf),
    /// No group limits us; this is the memory of the machine.
    Machine,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes ({})", self.bytes, self.source)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::CgroupV2(folder) => write!(f, "{}/{V2_FILE}", folder.display()),
            Source::CgroupV1(folder) => write!(f, "{}/{V1_FILE}", folder.display()),
            Source::Machine => f.write_str("the machine"),
        }
    }
}

const V2_FILE: &str = "memory.max";
const V1_FILE: &str = "memory.limit_in_bytes";

/// The smallest of the machine's memory and the limits of all control groups that this process is in, in bytes.
///
/// ```
/// let limit = phalanx_memory::total();
/// assert!(limit.bytes > 0);
/// println!("{limit}"); // 2147483648 bytes (/sys/fs/cgroup/memory.max)
/// ```
pub fn total() -> Limit {
    total_of(&Machine, machine_memory(&Machine))
}

/// The memory of the machine, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MachineMemory {
    pub(crate) total: u64,
    /// What could be allocated without swapping; `None` with `/proc` hidden, for the system call does not know it.
    pub(crate) available: Option<u64>,
}

pub(crate) fn machine_memory(files: &impl Files) -> MachineMemory {
    let text = files.read(Path::new("/proc/meminfo")).unwrap_or_default();
    let by_system_call = || {
        let information = rustix::system::sysinfo();
        information.totalram.saturating_mul(u64::from(information.mem_unit.max(1)))
    };
    MachineMemory {
        total: parse_meminfo(&text, "MemTotal").unwrap_or_else(by_system_call),
        available: parse_meminfo(&text, "MemAvailable"),
    }
}

fn total_of(files: &impl Files, machine: MachineMemory) -> Limit {
    let machine = Limit { bytes: machine.total, source: Source::Machine };
    let levels = cgroup::levels(files, "memory");
    let groups = levels.iter().filter_map(|level| group_limit(files, level));
    // The machine comes first: an equal or larger value ("unlimited" of version 1 is 2^63 - 4096) is no limit.
    std::iter::once(machine.clone()).chain(groups).min_by_key(|limit| limit.bytes).unwrap_or(machine)
}

/// The limit of one group, if it has any.
pub(crate) fn group_limit(files: &impl Files, level: &Level) -> Option<Limit> {
    let file = match level.version {
        Version::V1 => V1_FILE,
        Version::V2 => V2_FILE,
    };
    let bytes = parse_limit(&files.read(&level.folder.join(file))?)?;
    let source = match level.version {
        Version::V1 => Source::CgroupV1(level.folder.clone()),
        Version::V2 => Source::CgroupV2(level.folder.clone()),
    };
    Some(Limit { bytes, source })
}

/// A number of bytes; "max" and garbage are no limit, and neither is 0, with which no process could run.
fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes > 0)
}

/// A line like `MemTotal: 24731708 kB` of `/proc/meminfo`, in bytes.
fn parse_meminfo(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Written;

    const MEMINFO: &str = "MemTotal:       24731708 kB\nMemFree:        23576152 kB\nMemAvailable:   24379292 kB\n";
    const MACHINE: u64 = 24_731_708 * 1024;
    const MEMORY: MachineMemory = MachineMemory { total: MACHINE, available: None };
    const SMALL: MachineMemory = MachineMemory { total: 4096, available: None };
    const V2_MOUNT: &str = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1_MOUNT: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";

    #[test]
    fn the_smallest_limit_on_the_path_counts_wherever_it_sits() {
        let files = Written(&[
            ("/proc/meminfo", MEMINFO),
            ("/proc/self/cgroup", "0::/pod/container/worker\n"),
            ("/proc/self/mountinfo", V2_MOUNT),
            ("/sys/fs/cgroup/pod/container/worker/memory.max", "max\n"),
            ("/sys/fs/cgroup/pod/container/memory.max", "2147483648\n"),
            ("/sys/fs/cgroup/pod/memory.max", "1073741824\n"),
        ]);
        let limit = Limit { bytes: 1 << 30, source: Source::CgroupV2("/sys/fs/cgroup/pod".into()) };
        assert_eq!(total_of(&files, MEMORY), limit);
        assert_eq!(limit.to_string(), "1073741824 bytes (/sys/fs/cgroup/pod/memory.max)");
    }

    #[test]
    fn version_1_limits_count() {
        let files = Written(&[
            ("/proc/meminfo", MEMINFO),
            ("/proc/self/cgroup", "4:memory:/job\n0::/\n"),
            ("/proc/self/mountinfo", V1_MOUNT),
            ("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "536870912\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        let expected = Limit { bytes: 512 << 20, source: Source::CgroupV1("/sys/fs/cgroup/memory/job".into()) };
        assert_eq!(total_of(&files, MEMORY), expected);
    }

    #[test]
    fn no_limit_in_any_group_means_the_machine() {
        let files = Written(&[
            ("/proc/meminfo", MEMINFO),
            ("/proc/self/cgroup", "4:memory:/\n0::/\n"),
            ("/proc/self/mountinfo", V1_MOUNT),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(total_of(&files, MEMORY), Limit { bytes: MACHINE, source: Source::Machine });
    }

    #[test]
    fn with_proc_hidden_the_system_call_and_the_usual_folders_answer() {
        assert_eq!(total_of(&Written(&[]), SMALL), Limit { bytes: 4096, source: Source::Machine });
        let files = Written(&[("/sys/fs/cgroup/memory.max", "1000\n")]);
        assert_eq!(total_of(&files, SMALL), Limit { bytes: 1000, source: Source::CgroupV2("/sys/fs/cgroup".into()) });
    }

    #[test]
    fn the_machine_says_what_it_has_and_what_is_available() {
        let memory = machine_memory(&Written(&[("/proc/meminfo", MEMINFO)]));
        assert_eq!(memory, MachineMemory { total: MACHINE, available: Some(24_379_292 * 1024) });
        let hidden = machine_memory(&Written(&[]));
        assert!(hidden.total > 0 && hidden.available.is_none());
    }

    #[test]
    fn garbage_is_no_limit() {
        for text in ["", "max", "-1", "0", "12 34", "1e9", "99999999999999999999999", "\u{0}"] {
            assert_eq!(parse_limit(text), None, "{text:?}");
        }
        for text in
            ["", "MemTotal:", "MemTotal: 12", "MemTotal: x kB", "MemTotal: 0 kB", "MemTotal: 18446744073709551615 kB"]
        {
            assert_eq!(parse_meminfo(text, "MemTotal"), None, "{text:?}");
        }
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(total().bytes >= usage_floor());
    }

    /// Whatever the limit is, what we use already fits into it.
    fn usage_floor() -> u64 {
        crate::resident().unwrap()
    }
}
