//! [`Groups`]: control groups of our own making, each with a memory limit that the kernel itself enforces.
//!
//! ```text
//!   version 1                                  version 2 (a group that holds processes cannot be divided)
//!   our own group ── we stay here              our own group ── "+memory" for those below
//!     ├─ phalanx-PID-START-worker-1              ├─ phalanx-PID-START-primary ── we move in here
//!     └─ phalanx-PID-START-worker-2              ├─ phalanx-PID-START-worker-1   memory.max, memory.oom.group
//!        memory.limit_in_bytes                   └─ phalanx-PID-START-worker-2   memory.swap.max 0
//! ```
//!
//! The names say whose the groups are. What a killed owner left is removed by the next one's [`Groups::sweep`].
//!
//! `find` looks for the place, `name` knows the owners, `text` reads the counters, `tree` is the file system (in tests
//! an imagined one that keeps the rules of version 2).

mod error;
mod find;
#[cfg(test)]
mod imagined;
mod name;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cgroup::Version;
use crate::files::Machine;

pub use error::{GroupError, NoGroups};
use name::Owner;
use tree::Tree;

/// How long a group that is dropped waits for its last process to be gone.
const REMOVAL_DEADLINE: Duration = Duration::from_millis(100);

/// From one attempt to remove a group to the next.
const REMOVAL_PAUSE: Duration = Duration::from_millis(5);

/// The place where control groups with a memory limit can be made.
///
/// ```no_run
/// use phalanx_memory::Groups;
///
/// match Groups::find() {
///     Ok(groups) => {
///         groups.sweep();
///         let group = groups.create("worker-1", 256 << 20)?;
///         let child = std::process::Command::new("sleep").arg("1").spawn()?;
///         group.add(child.id())?;
///     }
///     Err(why) => eprintln!("no limits by the kernel: {why}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Groups {
    tree: Arc<dyn Tree>,
    version: Version,
    /// The group that is divided.
    base: PathBuf,
    owner: Owner,
    /// Version 2: the group that this process moved into.
    moved_to: Option<PathBuf>,
}

impl Groups {
    /// Looks for the place: the control group of this process, if groups can be made in it. It is tried.
    ///
    /// In version 2 this process has to leave that group for one below it. Call it before there are children, which stay
    /// where they are. After an exec in place it finds the same place again.
    ///
    /// Errors: why there is none, in words for a log line.
    pub fn find() -> Result<Groups, NoGroups> {
        find::find(Arc::new(Machine))
    }

    /// The same in another control group than that of this process.
    ///
    /// Errors: why none can be made there.
    pub fn within(folder: impl Into<PathBuf>) -> Result<Groups, NoGroups> {
        find::within(Arc::new(Machine), folder.into())
    }

    /// Makes a group for processes that use at most `limit` bytes together: their memory, and the page cache that they
    /// fill as far as it cannot be let go. No swap, where the kernel can limit that. A name is used once.
    ///
    /// Errors: what the kernel refused.
    pub fn create(&self, name: &str, limit: u64) -> Result<Group, GroupError> {
        let folder = self.folder_of(name);
        self.tree.make(&folder).map_err(GroupError::of("make the control group", &folder))?;
        // From here on it is ours to remove.
        let group = self.group(folder, limit);
        group.restrict()?;
        Ok(group)
    }

    /// A group of this name that an earlier image of this process made; `None` if there is none.
    pub fn adopt(&self, name: &str) -> Option<Group> {
        let folder = self.folder_of(name);
        let file = match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        };
        let limit = self.tree.read(&folder.join(file))?;
        Some(self.group(folder, text::number(&limit).unwrap_or(u64::MAX)))
    }

    /// Removes the groups of owners that are gone, and says how many. Those that still hold processes stay.
    pub fn sweep(&self) -> usize {
        let names = self.tree.groups_in(&self.base);
        let orphans = names.iter().filter(|name| Owner::of(name).is_some_and(|owner| !owner.lives(&*self.tree)));
        orphans.filter(|name| self.tree.remove(&self.base.join(name)).is_ok()).count()
    }

    /// The group in which the others are made.
    pub fn folder(&self) -> &Path {
        &self.base
    }

    fn folder_of(&self, name: &str) -> PathBuf {
        self.base.join(self.owner.name(name))
    }

    fn group(&self, folder: PathBuf, limit: u64) -> Group {
        Group { tree: Arc::clone(&self.tree), folder, version: self.version, limit }
    }
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version {
            Version::V1 => 1,
            Version::V2 => 2,
        };
        write!(f, "control groups (version {version}) in {}", self.base.display())
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Groups").field(&self.base).finish()
    }
}

impl Drop for Groups {
    /// This process goes back to where it was; what it cannot undo, the next [`Groups::sweep`] does.
    fn drop(&mut self) {
        if let Some(leaf) = &self.moved_to {
            find::move_back(&*self.tree, &self.base, leaf);
        }
    }
}

/// A control group with a memory limit. It is removed when it is dropped, if its processes are gone by then.
pub struct Group {
    tree: Arc<dyn Tree>,
    folder: PathBuf,
    version: Version,
    limit: u64,
}

impl Group {
    /// Its folder: who writes `0` to the `cgroup.procs` in there enters it, with all its later children.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its limit in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.limit
    }

    /// Moves a process into it. What that process has in memory already stays with the group that it came from.
    ///
    /// Errors: no such process, or not ours to move.
    pub fn add(&self, pid: u32) -> Result<(), GroupError> {
        self.set("cgroup.procs", &pid.to_string())
    }

    /// What its processes use now, in bytes, page cache included. `None` if it is gone.
    pub fn current_bytes(&self) -> Option<u64> {
        text::number(&self.read(self.file("memory.usage_in_bytes", "memory.current"))?)
    }

    /// The most that they ever used. `None` where the kernel does not know (version 2 before Linux 5.19).
    pub fn peak_bytes(&self) -> Option<u64> {
        text::number(&self.read(self.file("memory.max_usage_in_bytes", "memory.peak"))?)
    }

    /// Processes that the kernel has ended because the limit was reached. `None` where it does not count them (version 1
    /// before Linux 4.13).
    pub fn kills(&self) -> Option<u64> {
        text::oom_kills(&self.read(self.file("memory.oom_control", "memory.events"))?)
    }

    /// Removes it now, if none of its processes is left. True if it is gone.
    pub fn try_remove(&self) -> bool {
        match self.tree.remove(&self.folder) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    fn restrict(&self) -> Result<(), GroupError> {
        let limit = self.limit.to_string();
        match self.version {
            Version::V1 => {
                self.set("memory.limit_in_bytes", &limit)?;
                // Memory and swap together. Absent without swap accounting: then swap is no limit's business.
                self.set_if_there("memory.memsw.limit_in_bytes", &limit)
            }
            Version::V2 => {
                self.set("memory.max", &limit)?;
                self.set_if_there("memory.swap.max", "0")?;
                // Without it the kernel ends one process of the group, which may not be the one that grows.
                self.set_if_there("memory.oom.group", "1")
            }
        }
    }

    fn set_if_there(&self, file: &str, text: &str) -> Result<(), GroupError> {
        self.set(file, text).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
    }

    fn set(&self, file: &str, text: &str) -> Result<(), GroupError> {
        let path = self.folder.join(file);
        self.tree.write(&path, text).map_err(GroupError::of("write to", &path))
    }

    fn read(&self, file: &str) -> Option<String> {
        self.tree.read(&self.folder.join(file))
    }

    fn file(&self, v1: &'static str, v2: &'static str) -> &'static str {
        match self.version {
            Version::V1 => v1,
            Version::V2 => v2,
        }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("folder", &self.folder).field("limit", &self.limit).finish()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let deadline = Instant::now() + REMOVAL_DEADLINE;
        while !self.try_remove() && Instant::now() < deadline {
            std::thread::sleep(REMOVAL_PAUSE);
        }
    }
}
