//! What a process has: descriptors, threads, children, memory. And waiting for things with a deadline.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use phalanx_task::{Submission, TaskError};

/// Longest wait for anything in these tests: a machine under load is slow, a bug waits for ever.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What this process had before its first pool.
static EMPTY: OnceLock<Household> = OnceLock::new();

/// What this process has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Household {
    descriptors: usize,
    threads: usize,
    /// Zombies are among them.
    children: usize,
}

impl Household {
    pub(crate) fn now() -> Household {
        Household {
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            children: children_of(std::process::id()).len(),
        }
    }

    /// Waits until this process has exactly this.
    pub(crate) fn returns(&self) {
        let mut now = Household::now();
        let deadline = Instant::now() + DEADLINE;
        while now != *self {
            assert!(Instant::now() < deadline, "before: {self:?}; left: {now:?}");
            std::thread::yield_now();
            now = Household::now();
        }
    }
}

/// There is no pool yet.
pub(crate) fn is_empty_now() {
    EMPTY.set(Household::now()).unwrap();
}

/// Waits until nothing is left of any pool.
pub(crate) fn nothing_is_left() {
    EMPTY.get().unwrap().returns();
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// The children of all threads of a process, zombies too.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists =
        threads.flatten().map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()).collect()
}

/// Whether a process is there and no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    state_of(pid).is_some_and(|state| state != 'Z')
}

/// Its state as the kernel writes it: R, S, T, Z…
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

/// Resident memory of this process in KiB.
pub(crate) fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Asks again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// How a task ended. One that does not end is a failure.
pub(crate) fn end_of<T>(submission: Submission<T>) -> Result<T, TaskError> {
    let (id, began) = (submission.id(), Instant::now());
    let end = submission.wait(DEADLINE);
    assert!(began.elapsed() < DEADLINE, "task {id} never ended");
    end
}
