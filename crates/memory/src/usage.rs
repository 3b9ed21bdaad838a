//! [`usage`]: the whole picture of what a process uses now; [`resident`] is the cheap figure.
//!
//! ```text
//!   /proc/PID/statm ────────► resident(), anonymous()   one small read, 2 µs: for loops
//!   /proc/PID/smaps_rollup ─┐
//!   /proc/PID/status ───────┼─► usage()                 walks all mappings, 0.1 to several ms: for reports
//!   the allocator, accounts ┘
//! ```

use std::fmt;
use std::path::PathBuf;

use crate::account::{PoolUsage, accounts};
use crate::heap::{Heap, heap};
use crate::{Error, rollup};

/// What a process uses now. All sizes are in bytes; what could not be read is `None`, never 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// In memory now, shared ones included (RSS).
    pub resident: Option<u64>,
    /// Each resident page divided by the number of processes that share it (PSS): the figure to add up over a process tree.
    pub proportional: Option<u64>,
    /// Resident and mapped by this process only (USS): what its end would free.
    pub unique: Option<u64>,
    /// Resident heap and stacks, not backed by a file.
    pub anonymous: Option<u64>,
    /// Resident and backed by files: the program and its libraries.
    pub file: Option<u64>,
    /// Resident shared memory.
    pub shared: Option<u64>,
    /// Moved out to swap.
    pub swapped: Option<u64>,
    /// What the allocator says; of the own process only.
    pub heap: Option<Heap>,
    /// What the named [budgets](crate::Budget::named) and [accounts](crate::Account) hold; of the own process only.
    pub pools: Vec<PoolUsage>,
    /// Where the figures above the heap come from.
    pub source: UsageSource,
}

impl Usage {
    /// Live bytes: what the program has allocated and not freed if the allocator can be asked, else
    /// [`anonymous`](Self::anonymous) memory, which also grows when the allocator keeps what was freed.
    pub fn live(&self) -> Option<u64> {
        self.heap.map(|heap| heap.allocated).or(self.anonymous)
    }
}

/// Who says what a process uses, from the best to the poorest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UsageSource {
    /// `/proc/PID/smaps_rollup`, and `status` for what is not in it.
    SmapsRollup,
    /// `/proc/PID/status`: the process is another user's, or the kernel is older than 4.14.
    Status,
    /// `/proc/PID/statm`: nothing else was to be had.
    Statm,
    /// `/proc` is hidden: the kernel says nothing, there are only the allocator's figures.
    #[default]
    Allocator,
}

impl fmt::Display for UsageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UsageSource::SmapsRollup => "smaps_rollup",
            UsageSource::Status => "status",
            UsageSource::Statm => "statm",
            UsageSource::Allocator => "the allocator only",
        })
    }
}

/// What this process uses now. The kernel walks all mappings for it (0.1 to several ms): for reports, not for loops.
///
/// An error only if neither `/proc` nor the allocator says anything.
///
/// ```
/// let usage = phalanx_memory::usage()?;
/// match usage.resident {
///     Some(bytes) => println!("{} MiB in memory (from {})", bytes >> 20, usage.source),
///     None => println!("/proc is hidden; {:?} live bytes", usage.live()),
/// }
/// # Ok::<(), phalanx_memory::Error>(())
/// ```
pub fn usage() -> Result<Usage, Error> {
    let (heap, pools) = (heap(), accounts());
    match read_usage("self") {
        Ok(usage) => Ok(Usage { heap, pools, ..usage }),
        Err(_) if heap.is_some() => Ok(Usage { heap, pools, ..Usage::default() }),
        Err(error) => Err(error),
    }
}

/// What another process uses now. Of another user's process, `proportional` and `unique` are `None` (unless we are root).
pub fn usage_of(pid: u32) -> Result<Usage, Error> {
    read_usage(&pid.to_string())
}

/// Bytes of this process that are in memory now, shared ones included (RSS). One small read: for loops.
///
/// ```
/// let before = phalanx_memory::resident()?;
/// assert!(before > 0);
/// # Ok::<(), phalanx_memory::Error>(())
/// ```
pub fn resident() -> Result<u64, Error> {
    read_statm("self").map(|statm| statm.resident)
}

/// Bytes of another process that are in memory now. Any process of the machine may be asked.
pub fn resident_of(pid: u32) -> Result<u64, Error> {
    read_statm(&pid.to_string()).map(|statm| statm.resident)
}

/// Bytes of this process that are its own and in memory: heap and stacks, as cheaply as [`resident`].
pub fn anonymous() -> Result<u64, Error> {
    read_statm("self").map(Statm::anonymous)
}

/// Bytes of another process that are its own and in memory: heap and stacks, as cheaply as [`resident_of`].
pub fn anonymous_of(pid: u32) -> Result<u64, Error> {
    read_statm(&pid.to_string()).map(Statm::anonymous)
}

/// `/proc/PID/statm`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Statm {
    resident: u64,
    /// The part of it that is backed by files or shared memory.
    shared: u64,
}

impl Statm {
    fn anonymous(self) -> u64 {
        self.resident.saturating_sub(self.shared)
    }
}

fn read_statm(process: &str) -> Result<Statm, Error> {
    let page = rustix::param::page_size() as u64;
    read(format!("/proc/{process}/statm").into(), |text| parse_statm(text, page))
}

fn read_usage(process: &str) -> Result<Usage, Error> {
    let status = read(format!("/proc/{process}/status").into(), |text| Some(rollup::parse_status(text)));
    let rollup = read(format!("/proc/{process}/smaps_rollup").into(), rollup::parse);
    // A kernel thread, and a process that has ended and waits for its parent, have no memory and an empty roll-up.
    if let (Ok(status), Ok(rollup)) = (&status, &rollup) {
        return Ok(Usage {
            resident: Some(rollup.resident),
            proportional: Some(rollup.proportional),
            unique: Some(rollup.unique),
            anonymous: Some(rollup.anonymous),
            swapped: rollup.swapped,
            file: status.file,
            shared: status.shared,
            source: UsageSource::SmapsRollup,
            ..Usage::default()
        });
    }
    if let Ok(Usage { resident: Some(_), .. }) = status {
        return status;
    }
    let statm = read_statm(process)?;
    Ok(Usage {
        resident: Some(statm.resident),
        anonymous: Some(statm.anonymous()),
        source: UsageSource::Statm,
        ..Usage::default()
    })
}

fn read<T>(path: PathBuf, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text).ok_or(Error::Garbled { path }),
        Err(source) => Err(Error::Unreadable { path, source }),
    }
}

/// `SIZE RESIDENT SHARED TEXT LIB DATA DIRTY`, all in pages.
fn parse_statm(text: &str, page: u64) -> Option<Statm> {
    let mut fields = text.split_whitespace().map(|field| field.parse::<u64>().ok()?.checked_mul(page));
    let mut next = || fields.next().flatten();
    let _address_space = next()?;
    Some(Statm { resident: next()?, shared: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statm_counts_pages() {
        let statm = parse_statm("765 412 384 5 0 123 0\n", 4096).unwrap();
        assert_eq!((statm.resident, statm.shared, statm.anonymous()), (412 * 4096, 384 * 4096, 28 * 4096));
    }

    #[test]
    fn garbage_is_an_error_not_a_number() {
        for text in ["", "1 2", "a b c", "-1 2 3", "18446744073709551615 1 1", "\u{0}"] {
            assert_eq!(parse_statm(text, 4096), None, "{text:?}");
        }
    }

    #[test]
    fn another_process_can_be_asked_and_one_that_is_gone_is_an_error() {
        let ours = std::process::id();
        assert!(resident_of(ours).unwrap() > 0);
        assert!(anonymous_of(ours).unwrap() > 0);
        assert!(usage_of(ours).unwrap().resident.unwrap() > 0);
        // Above the largest pid that Linux gives out (2^22).
        let gone = usage_of(u32::MAX).unwrap_err();
        assert!(matches!(gone, Error::Unreadable { .. }));
        assert!(gone.to_string().contains("/proc/4294967295/statm"), "{gone}");
    }
}
