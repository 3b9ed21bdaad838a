//! [`Strays`]: children that this process did not start: those whose own parent has ended.
//!
//! The kernel gives them to the first process in a container (pid 1), or to the nearest ancestor that asked for them. Whoever
//! gets them has to reap them, or they stay in the process table for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use crate::{Error, Process, Signal, process_table};

/// From the first signal to a stray to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Each round may orphan the children of those that it ended, or find what they had started.
const ROUNDS: usize = 16;

/// Most bytes of an environment that are looked through.
const MOST_ENVIRONMENT: u64 = 4 << 20;

/// The strays of this process.
#[derive(Debug, Default)]
pub struct Strays {
    /// Ended children that nobody had reaped at the last look.
    unreaped: BTreeSet<u32>,
    /// Those that were asked to end, and when.
    ending: BTreeMap<u32, (Process, Instant)>,
}

/// A stray that was asked to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its process id.
    pub pid: u32,
    /// The value of its mark.
    pub mark: String,
}

impl Strays {
    /// From now on descendants whose parents end become children of this process.
    ///
    /// Errors: the kernel refuses.
    pub fn adopt() -> Result<Strays, Error> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|source| Error::system("become the parent of strays", source))?;
        Ok(Strays::default())
    }

    /// Looks at the children of this process. What ended and was there at the look before is reaped: so give those
    /// who hold a [`Process`] time for theirs between two looks. Of what lives, everything with the
    /// variable `mark` in its environment whose value is `over` is sent SIGTERM, and SIGKILL five seconds later; who gets
    /// SIGTERM now is told.
    pub fn look(&mut self, mark: &str, over: impl Fn(&str) -> bool) -> Vec<Stray> {
        let children = children();
        let zombies: BTreeSet<u32> = children.iter().copied().filter(|pid| has_ended(*pid)).collect();
        for pid in zombies.intersection(&self.unreaped) {
            reap(*pid);
        }
        self.unreaped = zombies;
        self.ending.retain(|pid, _| children.contains(pid) && !self.unreaped.contains(pid));
        for (process, since) in self.ending.values() {
            if since.elapsed() >= GRACE {
                let _ = process.kill(Signal::Kill);
            }
        }
        let mut told = Vec::new();
        for pid in children {
            if self.unreaped.contains(&pid) || self.ending.contains_key(&pid) {
                continue;
            }
            let Some(value) = marked(pid, mark).filter(|value| over(value)) else { continue };
            // Its number is its own as long as nobody reaps it, which only we do.
            if let Ok(process) = Process::adopt(pid) {
                let _ = process.kill(Signal::Terminate);
                self.ending.insert(pid, (process, Instant::now()));
                told.push(Stray { pid, mark: value });
            }
        }
        told
    }

    /// Ends every process of this machine, child or not, whose variable `mark` has a value that is `over`: at once, and what
    /// those start meanwhile. For who has lost the process that strays are given to. Never this process itself, and nothing
    /// that it may not look at or signal.
    pub fn end_everywhere(mark: &str, over: impl Fn(&str) -> bool) {
        let is_over = |pid: u32| marked(pid, mark).is_some_and(|value| over(&value));
        for _ in 0..ROUNDS {
            let table = process_table::read().unwrap_or_default();
            let strangers = table.into_iter().map(|entry| entry.pid).filter(|pid| *pid != std::process::id());
            let found: Vec<OwnedFd> = strangers
                .filter(|pid| is_over(*pid))
                // Looked at again: between the look and the opening another may have got the number.
                .filter_map(|pid| Some((pid, open(pid)?)))
                .filter_map(|(pid, process)| is_over(pid).then_some(process))
                .collect();
            if found.is_empty() {
                return;
            }
            for process in &found {
                let _ = rustix::process::pidfd_send_signal(process, rustix::process::Signal::KILL);
            }
            found.iter().for_each(wait_for);
        }
    }

    /// Ends everything that carries the mark, at once, and all that it leaves behind.
    pub fn end_all(&mut self, mark: &str) {
        for _ in 0..ROUNDS {
            let marked: Vec<u32> = children().into_iter().filter(|pid| marked(*pid, mark).is_some()).collect();
            if marked.is_empty() {
                return;
            }
            for process in marked.into_iter().filter_map(|pid| Process::adopt(pid).ok()) {
                let _ = process.kill(Signal::Kill);
                wait_for(&process);
                let _ = process.try_wait();
            }
        }
    }
}

/// Process ids of the children of this process, ended ones included.
fn children() -> Vec<u32> {
    let own = std::process::id();
    let mut children = Vec::new();
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return children };
    for thread in threads.flatten() {
        match std::fs::read_to_string(thread.path().join("children")) {
            Ok(list) => children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok())),
            // A kernel without this file; or a thread that has just ended, and then the table is right as well.
            Err(_) => {
                let table = process_table::read().unwrap_or_default();
                return table.into_iter().filter(|entry| entry.parent == own).map(|entry| entry.pid).collect();
            }
        }
    }
    children
}

fn has_ended(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(rustix::process::waitid(WaitId::Pid(pid), options), Ok(Some(_)))
}

fn reap(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

/// The value of this variable in the environment that the process began with.
fn marked(pid: u32, mark: &str) -> Option<String> {
    use std::io::Read;
    let mut environment = Vec::new();
    let file = std::fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    file.take(MOST_ENVIRONMENT).read_to_end(&mut environment).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(mark.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn open(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// SIGKILL takes a moment.
fn wait_for(process: &impl AsFd) {
    let mut polled = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
    let _ = rustix::event::poll(&mut polled, Some(&crate::time::timespec(Duration::from_secs(1))));
}
