//! [`Tree`]: a process and everything below it, held by pidfds, so that one signal reaches all of it.
//!
//! A tree changes while one looks at it. So it is *frozen* first: each member is stopped, then the process table is read
//! again for children of members, until a look finds nobody new and everybody stopped. A stopped process starts no others.
//! A process number is only believed after a pidfd of it was opened and the start time was compared.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use crate::child::blocking;
use crate::kept::Kept;
use crate::process_table::{self, Entry};
use crate::{Error, Signal};

/// Between two looks at a tree whose members are not all stopped yet.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How many descriptors one `poll` looks at.
const POLLED_AT_ONCE: usize = 512;

/// For [`Tree::freeze`]: a tree that changes for longer than this is ended as far as it is known.
pub(crate) const FREEZE_DEADLINE: Duration = Duration::from_secs(2);

/// SIGKILL ends a process at once, unless it hangs in the kernel.
pub(crate) const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// A process and everything below it.
#[derive(Debug)]
pub(crate) struct Tree {
    members: BTreeMap<u32, Member>,
    /// Parents whose children belong to the tree, but who do not themselves.
    above: Option<u32>,
    /// The leader of a process group that belongs to the tree: its number and when it started.
    leader: Option<(u32, u64)>,
    this_process: u32,
}

#[derive(Debug)]
struct Member {
    pidfd: OwnedFd,
    /// Clock ticks after boot: tells two processes of the same number apart.
    started: u64,
}

impl Tree {
    /// The tree under `pid`, which must be no ancestor of this process, nor this process itself.
    pub(crate) fn of(pid: u32) -> Result<Tree, Error> {
        let this_process = std::process::id();
        let mut tree = Tree { members: BTreeMap::new(), above: None, leader: None, this_process };
        let table = process_table::read().map_err(|source| Error::system("read the process table", source))?;
        let mut ancestor = this_process;
        // A damaged table must not make us go round.
        for _ in 0..table.len() {
            if ancestor == pid {
                let why = std::io::Error::other("it is this process, or one above it");
                return Err(Error::system(format!("end the tree of process {pid}"), why));
            }
            match table.iter().find(|entry| entry.pid == ancestor) {
                Some(entry) => ancestor = entry.parent,
                None => break,
            }
        }
        if let Some(entry) = table.iter().find(|entry| entry.pid == pid) {
            tree.admit(entry)?;
        }
        Ok(tree)
    }

    /// Nobody.
    pub(crate) fn empty() -> Tree {
        Tree { members: BTreeMap::new(), above: None, leader: None, this_process: std::process::id() }
    }

    /// Everything below this process, without it.
    pub(crate) fn below_this_process() -> Tree {
        let this_process = std::process::id();
        Tree { members: BTreeMap::new(), above: Some(this_process), leader: None, this_process }
    }

    /// Everything in the process group that `pid`, a member, leads belongs to the tree as well.
    fn with_group_of(mut self, pid: u32) -> Tree {
        self.leader = self.members.get(&pid).map(|member| (pid, member.started));
        self
    }

    /// Stops every member and finds those that are still unknown, until there are none.
    ///
    /// False if that did not come to an end before the deadline; what is known by then is stopped.
    pub(crate) fn freeze(&mut self, deadline: Instant) -> Result<bool, Error> {
        self.signal(Signal::Stop);
        loop {
            let table = process_table::read().map_err(|source| Error::system("read the process table", source))?;
            self.forget_the_dead(&table);
            // As long as its leader was not reaped, the number of a group belongs to no other.
            let reserved =
                |(pid, started): &(u32, u64)| process_table::entry(*pid).is_some_and(|entry| entry.started == *started);
            let group = self.leader.filter(reserved).map(|(pid, _)| pid);
            let known = self.members.len();
            let mut unsettled = false;
            for entry in &table {
                if let Some(member) = self.members.get(&entry.pid) {
                    unsettled |= member.started == entry.started && !entry.is_still();
                } else if (self.is_parent(entry.parent) || group == Some(entry.group))
                    && entry.pid != self.this_process
                    && !entry.is_dead()
                {
                    unsettled = true;
                    self.admit(entry)?;
                }
            }
            if self.members.len() == known && !unsettled {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            if self.members.len() == known {
                std::thread::sleep(LOOK_AGAIN);
            }
        }
    }

    /// Sends a signal to all members; how many got it.
    pub(crate) fn signal(&self, signal: Signal) -> usize {
        let sent = |member: &&Member| rustix::process::pidfd_send_signal(&member.pidfd, signal.as_rustix()).is_ok();
        self.members.values().filter(sent).count()
    }

    /// Waits until all members have ended; how many have not.
    pub(crate) fn wait_gone(&self, deadline: Instant) -> usize {
        let mut left: Vec<&OwnedFd> = self.members.values().map(|member| &member.pidfd).collect();
        while !left.is_empty() {
            let looked_at = left.len().min(POLLED_AT_ONCE);
            let mut polled: Vec<PollFd<'_>> =
                left[..looked_at].iter().map(|pidfd| PollFd::new(*pidfd, PollFlags::IN)).collect();
            let time = deadline.saturating_duration_since(Instant::now());
            let _ = rustix::event::poll(&mut polled, Some(&crate::time::timespec(time)));
            let ended: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
            let mut index = 0;
            left.retain(|_| {
                index += 1;
                !ended.get(index - 1).copied().unwrap_or(false)
            });
            if time.is_zero() {
                break;
            }
        }
        left.len()
    }

    fn is_parent(&self, pid: u32) -> bool {
        self.above == Some(pid) || self.members.contains_key(&pid)
    }

    /// Makes a process a member and stops it; nothing happens if it is gone by now.
    fn admit(&mut self, entry: &Entry) -> Result<(), Error> {
        let Some(pid) = i32::try_from(entry.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH | Errno::INVAL) => return Ok(()),
            Err(source) => return Err(Error::system(format!("open a pidfd of process {}", entry.pid), source)),
        };
        // The number may have changed hands before the pidfd was opened. After this look it cannot matter any more.
        match process_table::entry(entry.pid) {
            Some(now) if now.started == entry.started => {
                let member = Member { pidfd, started: entry.started };
                let _ = rustix::process::pidfd_send_signal(&member.pidfd, Signal::Stop.as_rustix());
                self.members.insert(entry.pid, member);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Drops members that were reaped: their numbers may belong to others, whose children are not ours.
    fn forget_the_dead(&mut self, table: &[Entry]) {
        self.members
            .retain(|pid, member| table.iter().any(|entry| entry.pid == *pid && entry.started == member.started));
    }
}

/// Stops the tree of a child, known in part or not at all, and signals it. How many got it, but for those that only the
/// process group knew.
pub(crate) fn signal_tree(kept: &Kept, signal: Signal, known: Option<Tree>) -> Result<(Tree, usize), Error> {
    let mut tree = match known {
        Some(tree) => tree,
        // A number that was reaped may belong to a stranger.
        None if kept.try_status()?.is_some() => Tree::empty(),
        None if kept.care().leads_group => Tree::of(kept.pid())?.with_group_of(kept.pid()),
        None => Tree::of(kept.pid())?,
    };
    if kept.care().keeper && signal == Signal::Kill {
        // It ends its tree itself, and that is exact; it is the last to go.
        kept.kill(signal)?;
        tree.wait_gone(Instant::now() + KILL_DEADLINE);
        let count = tree.members.len();
        return Ok((tree, count));
    }
    tree.freeze(Instant::now() + FREEZE_DEADLINE)?;
    let count = tree.signal(signal);
    let in_group = kept.care().leads_group && kept.kill_group(signal)?;
    match signal {
        Signal::Kill => {
            tree.wait_gone(Instant::now() + KILL_DEADLINE);
        }
        Signal::Stop => {}
        _ => {
            tree.signal(Signal::Continue);
            if in_group {
                kept.kill_group(Signal::Continue)?;
            }
        }
    }
    Ok((tree, count))
}

/// Sends `signal` to process `pid` and everything below it, and for SIGKILL waits until they are gone (5 s at most). How
/// many processes got it.
///
/// As [`Child::kill_tree`](crate::Child::kill_tree), for a process that was not started here. Who names a process by its
/// number must know that it still is that process. This process and those above it are refused.
pub async fn kill_tree(pid: u32, signal: Signal) -> Result<usize, Error> {
    blocking(move || kill_tree_blocking(pid, signal)).await?
}

/// As [`kill_tree`], on this thread.
pub(crate) fn kill_tree_blocking(pid: u32, signal: Signal) -> Result<usize, Error> {
    let mut tree = Tree::of(pid)?;
    tree.freeze(Instant::now() + FREEZE_DEADLINE)?;
    let count = tree.signal(signal);
    match signal {
        Signal::Kill => {
            tree.wait_gone(Instant::now() + KILL_DEADLINE);
        }
        Signal::Stop => {}
        _ => {
            tree.signal(Signal::Continue);
        }
    }
    Ok(count)
}
