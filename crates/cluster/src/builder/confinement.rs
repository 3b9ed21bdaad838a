//! What a worker process may use, and as whom it runs.

use std::path::{Path, PathBuf};

use phalanx_process::{Limit, Role};

use super::Cluster;
use crate::Place;

/// Which processors a worker runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Affinity {
    /// All that the primary may use; the kernel decides.
    #[default]
    Any,
    /// One for each place, in turn: the worker of place 0 on the first processor that the primary may use, and so on. For
    /// workers that never have more than one busy thread: a worker with a thread pool wants more than one processor.
    OnePerPlace,
}

/// What every worker process is confined to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Confinement {
    limits: Vec<(Limit, u64)>,
    nice: Option<i32>,
    affinity: Affinity,
    /// The processors that this process may use, in order; only for [`Affinity::OnePerPlace`].
    processors: Vec<usize>,
    cgroup: Option<PathBuf>,
    user: Option<(u32, u32)>,
}

impl Confinement {
    /// The role of a worker in `place`, confined.
    pub(crate) fn of<'a>(&self, mut role: Role<'a>, place: Place) -> Role<'a> {
        for (limit, most) in &self.limits {
            role = role.rlimit(*limit, *most);
        }
        if let Some(nice) = self.nice {
            role = role.nice(nice);
        }
        if self.affinity == Affinity::OnePerPlace && !self.processors.is_empty() {
            role = role.affinity([self.processors[usize::from(place.0) % self.processors.len()]]);
        }
        if let Some(directory) = &self.cgroup {
            role = role.cgroup(directory);
        }
        self.of_companion(role)
    }

    /// The control group that was asked for.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.cgroup.as_deref()
    }

    /// A role that runs as whoever the workers are, and is not confined otherwise.
    pub(crate) fn of_companion<'a>(&self, role: Role<'a>) -> Role<'a> {
        match self.user {
            Some((user, group)) => role.uid(user).gid(group),
            None => role,
        }
    }
}

impl Cluster {
    /// Sets a limit of resources, soft and hard, in each worker. May be called for several.
    ///
    /// What is refused here, or by the next four, ends the worker at its start with words that say which and why.
    pub fn rlimit(mut self, limit: Limit, most: u64) -> Self {
        self.confinement.limits.push((limit, most));
        self
    }

    /// Adds to the niceness of the workers: 19 is the least urgent; negative ones need privileges. Default 0.
    pub fn nice(mut self, increment: i32) -> Self {
        self.confinement.nice = Some(increment);
        self
    }

    /// Which processors the workers run on. Default [`Affinity::Any`].
    pub fn affinity(mut self, affinity: Affinity) -> Self {
        self.confinement.affinity = affinity;
        self.confinement.processors = match affinity {
            Affinity::Any => Vec::new(),
            Affinity::OnePerPlace => usable_processors(),
        };
        self
    }

    /// The control group that each worker enters: a directory with a `cgroup.procs` that the workers may write to. With
    /// [`hard_memory`](Self::hard_memory) each has one of its own below that, if it lets itself be divided. Default: that of
    /// the primary.
    pub fn cgroup(mut self, directory: impl Into<PathBuf>) -> Self {
        self.confinement.cgroup = Some(directory.into());
        self
    }

    /// The user and the group that the workers run as; supplementary groups are dropped. Needs privileges. The primary
    /// keeps its own: it opens ports below 1024, files and control groups for them. Default: those of the primary.
    pub fn user(mut self, user: u32, group: u32) -> Self {
        self.confinement.user = Some((user, group));
        self
    }
}

/// The processors that this process may run on, in order.
fn usable_processors() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_may_use_a_processor() {
        assert!(!usable_processors().is_empty());
    }
}
