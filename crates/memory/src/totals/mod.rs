//! [`totals`]: the memory that all of us together may use, how much of it is used, and whether it is short.
//!
//! ```text
//!   every level of our control groups ─┬─ limit, in use, cache ──► the smallest limit, what is used there, what is free
//!   the machine (/proc/meminfo)       ─┘                            at the tightest of all levels
//!   innermost group's memory.pressure, else /proc/pressure/memory ──► pressure
//!   innermost group's memory.events or memory.oom_control ──────────► kills
//! ```

mod text;

use std::fmt;
use std::path::Path;

use crate::cgroup::{self, Level, Version};
use crate::files::{Files, Machine};
use crate::limit::{Limit, MachineMemory, Source, group_limit, machine_memory};

/// How things stand where the smallest limit is. All sizes are in bytes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// The smallest limit, as [`total`](crate::total) says it.
    pub limit: Limit,
    /// In use where that limit is, by all processes under it; file cache that was not used lately is not counted (what
    /// `docker stats` and `kubectl top` show). `None` if it cannot be read.
    pub used: Option<u64>,
    /// What could be allocated now without pushing anybody against a limit: the least of all groups that we are in and the
    /// machine. Half of the file cache in use counts as free, for the kernel would take that first. `None` if it cannot be
    /// read.
    pub free: Option<u64>,
    /// How long tasks waited for memory; `None` without pressure stall information (a kernel option).
    pub pressure: Option<Pressure>,
    /// Processes of our innermost group that the kernel has killed because of a limit; `None` without such a group.
    pub out_of_memory_kills: Option<u64>,
}

/// Pressure stall information of the kernel: how much time is lost because memory is short.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Pressure {
    /// Some task waited for memory while others ran.
    pub some: Stall,
    /// All tasks waited for memory: nothing was done at all.
    pub full: Stall,
}

/// A share of time, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Stall {
    /// Of the last 10 s.
    pub ten_seconds: f64,
    /// Of the last 60 s.
    pub minute: f64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.used {
            Some(used) => write!(f, "{used} of {}", self.limit),
            None => write!(f, "{}", self.limit),
        }
    }
}

/// How things stand where the smallest limit is; read anew at each call, some 50 µs.
///
/// ```
/// let totals = phalanx_memory::totals();
/// println!("{totals}, {:?} bytes free", totals.free);
/// ```
pub fn totals() -> Totals {
    TotalsReader::new().read()
}

/// Knows the way to the files, for who reads [`totals`] again and again. Cheap to make, and it holds no file open.
///
/// ```
/// let reader = phalanx_memory::TotalsReader::new();
/// assert!(reader.read().limit.bytes > 0);
/// ```
#[derive(Debug, Clone)]
pub struct TotalsReader {
    levels: Vec<Level>,
}

impl Default for TotalsReader {
    fn default() -> TotalsReader {
        TotalsReader::new()
    }
}

impl TotalsReader {
    /// Finds the control groups that this process is in now.
    pub fn new() -> TotalsReader {
        TotalsReader { levels: cgroup::levels(&Machine, "memory") }
    }

    /// How things stand now.
    pub fn read(&self) -> Totals {
        read(&Machine, &self.levels, machine_memory(&Machine))
    }
}

fn read(files: &impl Files, levels: &[Level], machine: MachineMemory) -> Totals {
    let limit = Limit { bytes: machine.total, source: Source::Machine };
    let used = machine.available.map(|available| machine.total.saturating_sub(available));
    let mut totals = Totals {
        limit,
        used,
        free: machine.available,
        pressure: pressure(files, levels),
        out_of_memory_kills: levels.iter().find_map(|level| kills(files, level)),
    };
    for level in levels {
        let Some(limit) = group_limit(files, level) else { continue };
        // As in `total`: what is not below the machine's memory ("unlimited" of version 1 is 2^63 - 4096) is no limit.
        if limit.bytes >= machine.total {
            continue;
        }
        let load = load(files, level);
        if let Some(load) = &load {
            let free = limit.bytes.saturating_sub(load.needed());
            totals.free = Some(totals.free.map_or(free, |other| other.min(free)));
        }
        if limit.bytes < totals.limit.bytes {
            totals.used = load.map(|load| load.working_set());
            totals.limit = limit;
        }
    }
    totals
}

/// What a group holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Load {
    current: u64,
    inactive_file: u64,
    active_file: u64,
}

impl Load {
    fn working_set(self) -> u64 {
        self.current.saturating_sub(self.inactive_file)
    }

    fn needed(self) -> u64 {
        self.working_set().saturating_sub(self.active_file / 2)
    }
}

fn load(files: &impl Files, level: &Level) -> Option<Load> {
    let read = |file: &str| files.read(&level.folder.join(file));
    let (current, prefix) = match level.version {
        Version::V1 => (read("memory.usage_in_bytes")?, "total_"),
        Version::V2 => (read("memory.current")?, ""),
    };
    let statistics = read("memory.stat").unwrap_or_default();
    let figure = |name: &str| text::keyed(&statistics, &format!("{prefix}{name}")).unwrap_or(0);
    Some(Load {
        current: current.trim().parse().ok()?,
        inactive_file: figure("inactive_file"),
        active_file: figure("active_file"),
    })
}

fn pressure(files: &impl Files, levels: &[Level]) -> Option<Pressure> {
    let of_groups = levels.iter().filter(|level| level.version == Version::V2).find_map(|level| {
        // A hierarchy without the memory controller (beside version 1) knows the pressure all the same.
        text::parse_pressure(&files.read(&level.folder.join("memory.pressure"))?)
    });
    of_groups.or_else(|| text::parse_pressure(&files.read(Path::new("/proc/pressure/memory"))?))
}

fn kills(files: &impl Files, level: &Level) -> Option<u64> {
    let file = match level.version {
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    };
    text::keyed(&files.read(&level.folder.join(file))?, "oom_kill")
}

#[cfg(test)]
mod tests;
