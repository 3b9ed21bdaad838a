//! [`Load`]: what processes, with all that they started, did and hold, as the kernel counts it.

use std::collections::HashMap;
use std::time::Instant;

/// Where `/proc/PID/stat` has the parent, the ticks in user and in kernel mode, and the resident pages; counted from the first field
/// after the name.
const PARENT: usize = 1;
const USER_TICKS: usize = 11;
const KERNEL_TICKS: usize = 12;
const RESIDENT_PAGES: usize = 21;

/// Of some processes, at one moment.
#[derive(Debug)]
pub(super) struct Load {
    at: Instant,
    /// Ticks since its start, by process.
    ticks: HashMap<u32, u64>,
    pub(super) resident_bytes: u64,
}

impl Load {
    /// Of these and of all that descends from them.
    pub(super) fn of(pids: &[u32]) -> Load {
        let mut load = Load { at: Instant::now(), ticks: HashMap::new(), resident_bytes: 0 };
        if pids.is_empty() {
            return load;
        }
        let all = all();
        let mut left = pids.to_vec();
        while let Some(pid) = left.pop() {
            let Some(stat) = all.get(&pid) else { continue };
            if load.ticks.insert(pid, stat.ticks).is_none() {
                load.resident_bytes += stat.resident_pages * rustix::param::page_size() as u64;
                left.extend(all.iter().filter(|(_, other)| other.parent == pid).map(|(child, _)| *child));
            }
        }
        load
    }

    /// Percent of one core in the time between; what is new since then counts from its start.
    pub(super) fn percent_since(&self, before: &Load) -> f64 {
        let done = |(pid, ticks): (&u32, &u64)| ticks.saturating_sub(before.ticks.get(pid).copied().unwrap_or(0));
        let ticks: u64 = self.ticks.iter().map(done).sum();
        let seconds = (self.at - before.at).as_secs_f64();
        if seconds <= 0.0 {
            0.0
        } else {
            ticks as f64 / rustix::param::clock_ticks_per_second() as f64 / seconds * 100.0
        }
    }
}

/// Of one process.
struct Stat {
    parent: u32,
    ticks: u64,
    resident_pages: u64,
}

/// All processes that can be seen; those that end meanwhile are left out.
fn all() -> HashMap<u32, Stat> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, Stat::read(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect()
}

impl Stat {
    /// The name may hold anything, also blanks and parentheses: fields are counted after the last one.
    fn read(text: &str) -> Option<Stat> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Stat {
            parent: u32::try_from(number(PARENT)?).ok()?,
            ticks: number(USER_TICKS)? + number(KERNEL_TICKS)?,
            resident_pages: number(RESIDENT_PAGES)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_works_and_holds_memory() {
        let before = Load::of(&[std::process::id()]);
        assert!(before.resident_bytes > 1 << 20);
        let begun = Instant::now();
        let mut number = 0u64;
        // The kernel counts in hundredths of a second.
        while begun.elapsed().as_millis() < 100 {
            number = std::hint::black_box(number.wrapping_mul(17).wrapping_add(13));
        }
        assert!(Load::of(&[std::process::id()]).percent_since(&before) > 0.0);
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = Stat::read("7 (a ) b) S 3 7 7 0 -1 0 0 0 0 0 5 6 0 0 20 0 1 0 100 4096 42 0").unwrap();
        assert_eq!((stat.parent, stat.ticks, stat.resident_pages), (3, 11, 42));
        assert!(Stat::read("7 (x) S").is_none());
    }
}
