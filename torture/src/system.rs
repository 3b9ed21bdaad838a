//! What the kernel tells of processes: read from `/proc`, without asking them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// A count that is the same for this long is at rest; the primary looks at its workers once a second.
const AT_REST: Duration = Duration::from_millis(1500);
/// Longest wait for it.
const COMES_TO_REST: Duration = Duration::from_secs(15);

/// Sends a signal to a process that belongs to this run. One that is gone already is no error.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Its state as in `ps`: R, S, T (stopped), Z (zombie)…; `None` if there is no such process.
pub(crate) fn state(pid: u32) -> Option<char> {
    stat(pid)?.first()?.chars().next()
}

/// Whether it runs or could; a zombie does nothing any more.
pub(crate) fn lives(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// Its children, dead ones that nobody reaped included.
pub(crate) fn children(parent: u32) -> BTreeSet<u32> {
    all().filter(|pid| stat(*pid).is_some_and(|stat| stat.get(1) == Some(&parent.to_string()))).collect()
}

/// The parent of each process.
#[allow(dead_code)] // Only the soak asks for all of them.
pub(crate) fn parents() -> BTreeMap<u32, u32> {
    all().filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?))).collect()
}

/// Its children that have ended and that it did not reap.
pub(crate) fn zombies(parent: u32) -> usize {
    children(parent).into_iter().filter(|pid| state(*pid) == Some('Z')).count()
}

/// Processes that were started with `variable` (NAME=VALUE) in their environment, and live.
pub(crate) fn with_variable(variable: &str) -> BTreeSet<u32> {
    let has = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    all().filter(has).filter(|pid| lives(*pid)).collect()
}

/// Processes of a process group that live.
pub(crate) fn in_group(group: u32) -> BTreeSet<u32> {
    let of_group = |pid: &u32| stat(*pid).is_some_and(|stat| stat.get(2) == Some(&group.to_string()));
    all().filter(of_group).filter(|pid| lives(*pid)).collect()
}

/// Open descriptors.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The same for a process that should come back to `before`: it is not waited for longer than it takes.
pub(crate) fn descriptors_back_to(before: usize, pid: u32) -> usize {
    let began = Instant::now();
    while descriptors(pid) != before && began.elapsed() < AT_REST {
        std::thread::sleep(Duration::from_millis(5));
    }
    if descriptors(pid) == before { before } else { descriptors_at_rest(pid) }
}

/// What its descriptors are, without their numbers: sockets, pidfds, files….
pub(crate) fn descriptor_kinds(pid: u32) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
        let link = fs::read_link(entry.path()).unwrap_or_default();
        let kind: String = link.to_string_lossy().chars().filter(|letter| !letter.is_ascii_digit()).collect();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// Open descriptors of a process that comes to rest: as many as stay the same for a while. What it opens once in a second
/// for a new child, it has by then.
pub(crate) fn descriptors_at_rest(pid: u32) -> usize {
    let began = Instant::now();
    let (mut count, mut since) = (descriptors(pid), Instant::now());
    while since.elapsed() < AT_REST && began.elapsed() < COMES_TO_REST {
        std::thread::sleep(Duration::from_millis(20));
        let now = descriptors(pid);
        if now != count {
            (count, since) = (now, Instant::now());
        }
    }
    count
}

/// Threads.
pub(crate) fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Resident memory in KiB.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Resident memory of several processes in KiB, where a page that several of them map (their program, shared memory) is
/// counted once. Only root may see which page is which; for others each process is counted in full.
pub(crate) fn resident_together_kib(pids: &[u32]) -> u64 {
    let mut pages = BTreeSet::new();
    for pid in pids {
        match physical_pages(*pid) {
            Some(its) if !its.is_empty() => pages.extend(its),
            _ => return pids.iter().map(|pid| resident_kib(*pid)).sum(),
        }
    }
    pages.len() as u64 * rustix::param::page_size() as u64 / 1024
}

/// Numbers of the physical pages that a process has, from /proc/PID/pagemap (proc_pid_pagemap(5)).
fn physical_pages(pid: u32) -> Option<Vec<u64>> {
    const PRESENT: u64 = 1 << 63;
    const NUMBER: u64 = (1 << 55) - 1;
    let page = rustix::param::page_size() as u64;
    let pagemap = fs::File::open(format!("/proc/{pid}/pagemap")).ok()?;
    let mut numbers = Vec::new();
    for line in fs::read_to_string(format!("/proc/{pid}/maps")).ok()?.lines() {
        let (from, to) = line.split_whitespace().next()?.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()? / page, u64::from_str_radix(to, 16).ok()? / page);
        let mut entries = vec![0; (to - from) as usize * 8];
        // The kernel's own pages (vsyscall) have no entries.
        if pagemap.read_exact_at(&mut entries, from * 8).is_ok() {
            let entries = entries.chunks_exact(8).map(|entry| u64::from_ne_bytes(entry.try_into().unwrap_or_default()));
            numbers.extend(entries.filter(|entry| entry & PRESENT != 0).map(|entry| entry & NUMBER));
        }
    }
    numbers.retain(|number| *number != 0);
    Some(numbers)
}

/// Processor time that it used so far, all threads together.
pub(crate) fn processor_time(pid: u32) -> Duration {
    // utime and stime are fields 14 and 15 of the line, 11 and 12 after the name and the state.
    let ticks = |stat: &[String], index: usize| stat.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let total = stat(pid).map_or(0, |stat| ticks(&stat, 11) + ticks(&stat, 12));
    Duration::from_millis(total * 1000 / rustix::param::clock_ticks_per_second())
}

/// The file that it runs: its inode, which a replaced file does not share with its predecessor.
pub(crate) fn executable_inode(pid: u32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/exe")).ok().map(|metadata| metadata.ino())
}

/// Names in /dev/shm, where shared memory with a name would be.
pub(crate) fn named_shared_memory() -> BTreeSet<String> {
    let names = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The fields after the name of /proc/PID/stat: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain anything, so from its last bracket on.
    let (_, rest) = line.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_as_it_is() {
        let own = std::process::id();
        assert!(lives(own) && threads(own) >= 1 && descriptors(own) > 2 && resident_kib(own) > 100);
        assert_eq!(executable_inode(own), fs::metadata(std::env::current_exe().unwrap()).ok().map(|file| file.ino()));
        assert!(!lives(0x7fff_fff0));
    }

    #[test]
    fn a_child_that_nobody_reaped_is_a_zombie() {
        let mut child = std::process::Command::new("true").env("TORTURE_TEST", "yes").spawn().unwrap();
        let own = std::process::id();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while state(child.id()) != Some('Z') {
            assert!(std::time::Instant::now() < deadline, "it did not end");
            std::thread::yield_now();
        }
        assert!(zombies(own) >= 1 && children(own).contains(&child.id()) && !lives(child.id()));
        child.wait().unwrap();
        assert!(!children(own).contains(&child.id()));
    }
}
