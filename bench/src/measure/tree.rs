//! The processes below one process, and the CPU time of all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// One line of `/proc/PID/stat`, as far as it is needed here. Times are in clock ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    user: u64,
    system: u64,
    /// Since the machine was started.
    started: u64,
}

impl Process {
    /// The fields are those of proc(5); the name in parentheses may itself hold spaces and parentheses.
    fn parse(stat: &str) -> Option<Self> {
        let pid = stat.split(' ').next()?.parse().ok()?;
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            pid,
            parent: i32::try_from(field(4)?).ok()?,
            group: i32::try_from(field(5)?).ok()?,
            // Own time and that of children which have ended and were waited for.
            user: field(14)? + field(16)?,
            system: field(15)? + field(17)?,
            started: field(22)?,
        })
    }
}

fn all_processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Process::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// `root`, all below it, and all that stayed in its process group after losing their parent.
fn members(root: i32) -> Vec<Process> {
    let all = all_processes();
    let mut known = BTreeSet::from([root]);
    known.extend(all.iter().filter(|process| process.group == root).map(|process| process.pid));
    loop {
        let before = known.len();
        for process in &all {
            if known.contains(&process.parent) {
                known.insert(process.pid);
            }
        }
        if known.len() == before {
            return all.into_iter().filter(|process| known.contains(&process.pid)).collect();
        }
    }
}

/// The pids of the tree below `root`, itself included.
pub(super) fn pids(root: i32) -> Vec<i32> {
    members(root).iter().map(|process| process.pid).collect()
}

/// The processes of the tree below `root` that are `program` by the name of its file, the oldest first.
pub(crate) fn running(root: i32, program: &str) -> Vec<i32> {
    let mut found = members(root);
    found.retain(|process| {
        let file = std::fs::read_link(format!("/proc/{}/exe", process.pid));
        file.is_ok_and(|file| file.file_name().is_some_and(|name| name == program))
    });
    found.sort_by_key(|process| (process.started, process.pid));
    found.iter().map(|process| process.pid).collect()
}

/// Ends everything below `root`, and `root`, at once.
pub(crate) fn kill_tree(root: i32) {
    for pid in pids(root).into_iter().filter_map(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// CPU time of a process tree, its ended and waited-for children included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl CpuTime {
    pub(crate) fn of_tree(root: i32) -> Self {
        Self::of(&members(root))
    }

    /// Of this process, and of its children that have ended (wrk is one).
    pub(crate) fn of_this_process() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self::of(Process::parse(&stat).as_slice())
    }

    fn of(processes: &[Process]) -> Self {
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        let seconds = |ticks: u64| Duration::from_secs_f64(ticks as f64 / ticks_per_second);
        Self {
            user: seconds(processes.iter().map(|process| process.user).sum()),
            system: seconds(processes.iter().map(|process| process.system).sum()),
        }
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }

    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c)) S 7 40 40 0 -1 4194304 1 2 3 4 100 20 30 4 20 0 1 0 5 6 7";
        assert_eq!(
            Process::parse(stat),
            Some(Process { pid: 42, parent: 7, group: 40, user: 130, system: 24, started: 5 })
        );
    }

    #[test]
    fn the_time_of_grandchildren_counts_also_after_their_end() {
        // The inner shell burns CPU and ends; the outer one waits for it, says so and stays.
        let burn = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo burnt; read line";
        let mut shell =
            Command::new("sh").args(["-c", burn]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let root = i32::try_from(shell.id()).unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "burnt\n");
        assert_eq!(pids(root), [root]);
        assert!(CpuTime::of_tree(root).total() >= Duration::from_millis(20));
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn killing_a_tree_reaches_the_grandchildren() {
        let mut shell =
            Command::new("sh").args(["-c", "sleep 600 & echo $!; wait"]).stdout(Stdio::piped()).spawn().unwrap();
        let root = i32::try_from(shell.id()).unwrap();
        let mut reader = BufReader::new(shell.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let grandchild: i32 = line.trim().parse().unwrap();
        assert!(pids(root).contains(&grandchild));
        kill_tree(root);
        shell.wait().unwrap();
        // The pipe ends only when its last holder, the grandchild, is gone.
        line.clear();
        assert_eq!(reader.read_line(&mut line).unwrap(), 0);
    }
}
