//! The hard limit of memory: a control group for each worker where the kernel lets us make one, else a look each second.
//!
//! ```text
//!   Groups::find ── some ──► worker N starts in the group `…-worker-N`, and its job processes with it
//!        │                     │ too much: the kernel ends it (version 1: the largest process of the group)
//!        │                     ▼
//!        │                   the counter of the group has grown: told, and the worker's end gets its words
//!        └── none, and why ─► the tick compares each worker's own resident memory, and kills
//! ```
//!
//! A group is removed when its last process is gone, tried at each tick. What a killed primary left, the next one sweeps.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use phalanx_memory::{Group, Groups};
use phalanx_process::ExitStatus;

use super::Primary;
use crate::supervisor::{Holder, Input};
use crate::{Event, WorkerId};

/// SIGKILL.
const KILLED: ExitStatus = ExitStatus::Signal(9);

/// A worker that ends so shortly after a kill in its group was seen is the one that was killed: the counter of the group
/// does not say which process it was, and a tick may look at it before the end of the process is reported.
const SAME_KILL: Duration = Duration::from_secs(2);

/// How the hard limit is held.
pub(super) struct HardLimit {
    bytes: Option<u64>,
    /// Groups of workers that are gone, with processes that are not yet. Before `groups`: they are removed first.
    leaving: Vec<Group>,
    groups: Option<Groups>,
    /// Why there are no groups.
    why_not: String,
}

/// The control group of a worker.
#[derive(Debug)]
pub(super) struct Bound {
    group: Group,
    /// Kills that were told.
    kills: u64,
    last_kill: Option<Instant>,
}

/// What happened in the group of a worker.
struct Kills {
    new: u64,
    limit: u64,
}

impl HardLimit {
    /// `folder`: where the user wants the workers. `inherited`: where the image before this one has made groups.
    pub(super) fn begin(bytes: Option<u64>, folder: Option<&Path>, inherited: Option<&Path>) -> HardLimit {
        let mut limit = HardLimit { bytes, leaving: Vec::new(), groups: None, why_not: String::new() };
        if bytes.is_none() && inherited.is_none() {
            return limit;
        }
        match inherited.or(folder).map_or_else(Groups::find, Groups::within) {
            Ok(groups) => {
                groups.sweep();
                limit.groups = Some(groups);
            }
            Err(why) => limit.why_not = why.to_string(),
        }
        limit
    }

    /// Where groups are made, for the next image.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.groups.as_ref().map(|groups| groups.folder().to_path_buf())
    }

    /// A group for a new worker; `None` where its memory is only looked at, or not limited.
    pub(super) fn bound(&self, worker: WorkerId) -> Option<Bound> {
        let (bytes, groups) = (self.bytes?, self.groups.as_ref()?);
        match groups.create(&name(worker), bytes) {
            Ok(group) => Some(Bound::of(group)),
            Err(error) => {
                tracing::warn!("worker {worker} has no control group: {error}; its memory is looked at once a second");
                None
            }
        }
    }

    /// The group of a worker that the image before this one started.
    pub(super) fn adopt(&self, worker: WorkerId) -> Option<Bound> {
        self.groups.as_ref()?.adopt(&name(worker)).map(Bound::of)
    }

    /// The worker is gone; its job processes may take a moment more.
    pub(super) fn release(&mut self, bound: Bound) {
        if !bound.group.try_remove() {
            self.leaving.push(bound.group);
        }
    }

    fn tick(&mut self) {
        self.leaving.retain(|group| !group.try_remove());
    }

    /// In words, for the status; `None` without a limit.
    pub(super) fn word(&self) -> Option<String> {
        let mib = self.bytes? >> 20;
        Some(match &self.groups {
            Some(groups) => format!("{mib} MiB, by the kernel: {groups}"),
            None => format!("{mib} MiB, looked at once a second: {}", self.why_not),
        })
    }

    /// What is said of it at the start.
    pub(super) fn event(&self) -> Option<Event> {
        let holder = if self.groups.is_some() { Holder::Kernel } else { Holder::Primary };
        let details = self.groups.as_ref().map_or_else(|| self.why_not.clone(), ToString::to_string);
        self.bytes.map(|bytes| Event::HardLimit { bytes, holder, details })
    }
}

impl Bound {
    fn of(group: Group) -> Bound {
        let kills = group.kills().unwrap_or(0);
        Bound { group, kills, last_kill: None }
    }

    pub(super) fn folder(&self) -> &Path {
        self.group.folder()
    }

    /// Looks at the counter; what has happened since the last look.
    fn look(&mut self) -> Option<Kills> {
        let kills = self.group.kills()?;
        let new = kills.checked_sub(self.kills).filter(|new| *new > 0)?;
        (self.kills, self.last_kill) = (kills, Some(Instant::now()));
        Some(Kills { new, limit: self.group.limit_bytes() })
    }
}

impl Primary {
    /// One line at the start: a limit that is only looked at is another one than a wall.
    pub(super) fn tell_of_hard_limit(&mut self) {
        if let Some(event) = self.hard_limit.event() {
            self.emit(event);
        }
    }

    /// Tells of processes that the kernel has ended, and removes groups that are empty.
    pub(super) fn look_at_groups(&mut self) {
        let workers: Vec<WorkerId> =
            self.workers.iter().filter(|(_, running)| running.bound.is_some()).map(|(worker, _)| *worker).collect();
        workers.into_iter().for_each(|worker| self.look_at_group(worker));
        self.hard_limit.tick();
    }

    fn look_at_group(&mut self, worker: WorkerId) {
        let bound = self.workers.get_mut(&worker).and_then(|running| running.bound.as_mut());
        if let Some(Kills { new, limit }) = bound.and_then(Bound::look) {
            self.emit(Event::OutOfMemory { worker, processes: new, limit });
        }
    }

    /// A worker has ended with this status: if the kernel did it because of the limit, the supervisor hears of that first.
    pub(super) fn explain_end(&mut self, worker: WorkerId, status: ExitStatus) {
        self.look_at_group(worker);
        let Some(bound) = self.workers.get(&worker).and_then(|running| running.bound.as_ref()) else { return };
        if status == KILLED && bound.last_kill.is_some_and(|at| at.elapsed() < SAME_KILL) {
            let mib = bound.group.limit_bytes() >> 20;
            let words =
                format!("the kernel ended it: it and its job processes used more than their limit of {mib} MiB");
            self.feed_supervisor(Input::OutOfMemory(worker, words));
        }
    }
}

fn name(worker: WorkerId) -> String {
    format!("worker-{worker}")
}
