//! A kernel made of maps: control groups that keep the rules of the real ones, as far as this module depends on them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::tree::Tree;
use crate::cgroup::Version;
use crate::files::Files;

/// Where the one hierarchy is mounted.
pub(super) const MOUNT: &str = "/sys/fs/cgroup";

/// What the hierarchy refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Writable,
    ReadOnly,
    /// It belongs to somebody else.
    Foreign,
}

#[derive(Debug, Default)]
struct State {
    /// Files that are no group's.
    others: BTreeMap<PathBuf, String>,
    groups: BTreeMap<PathBuf, Imagined>,
}

#[derive(Debug, Default)]
struct Imagined {
    processes: Vec<u32>,
    settings: BTreeMap<String, String>,
}

pub(super) struct Kernel {
    version: Version,
    mode: Mode,
    state: Mutex<State>,
}

impl Kernel {
    /// A machine on which this process is in the group `own`, below the mount point, and the controller is there.
    pub(super) fn new(version: Version, mode: Mode, own: &str) -> Kernel {
        let mount = match version {
            Version::V1 => format!("35 31 0:32 / {MOUNT} rw,relatime - cgroup cgroup rw,memory\n"),
            Version::V2 => format!("35 24 0:30 / {MOUNT} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"),
        };
        let kernel = Kernel { version, mode, state: Mutex::default() };
        let top = PathBuf::from(MOUNT);
        kernel.with(|state| {
            state.others.insert("/proc/self/mountinfo".into(), mount);
            let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
            state.others.insert("/proc/self/stat".into(), stat.clone());
            state.others.insert(format!("/proc/{}/stat", std::process::id()).into(), stat);
            state.groups.insert(top.clone(), kernel.new_group(true));
            let mut folder = top;
            for part in own.split('/').filter(|part| !part.is_empty()) {
                let above = state.groups.get_mut(&folder).unwrap();
                above.settings.insert("cgroup.subtree_control".into(), "memory".into());
                folder = folder.join(part);
                state.groups.insert(folder.clone(), kernel.new_group(true));
            }
        });
        kernel.enter(&Path::new(MOUNT).join(own.trim_start_matches('/')), std::process::id());
        kernel
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    fn new_group(&self, memory: bool) -> Imagined {
        let memory_files: &[(&str, &str)] = match self.version {
            Version::V1 => &[
                ("memory.limit_in_bytes", "9223372036854771712"),
                ("memory.usage_in_bytes", "0"),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
            ],
            Version::V2 => &[
                ("memory.max", "max"),
                ("memory.swap.max", "max"),
                ("memory.oom.group", "0"),
                ("memory.current", "0"),
                ("memory.events", "oom 0\noom_kill 0\n"),
            ],
        };
        let core: &[(&str, &str)] = match self.version {
            Version::V1 => &[],
            Version::V2 => {
                &[("cgroup.controllers", if memory { "cpu memory" } else { "cpu" }), ("cgroup.subtree_control", "")]
            }
        };
        let files = core.iter().chain(memory_files.iter().filter(|_| memory));
        let settings = files.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Imagined { processes: Vec::new(), settings }
    }

    /// A process is in this group from now on, however it came there.
    pub(super) fn enter(&self, folder: &Path, pid: u32) {
        self.with(|state| {
            state.groups.values_mut().for_each(|group| group.processes.retain(|other| *other != pid));
            state.groups.get_mut(folder).unwrap().processes.push(pid);
            let below = folder.strip_prefix(MOUNT).unwrap().display();
            let line = match self.version {
                Version::V1 => format!("4:memory:/{below}\n0::/\n"),
                Version::V2 => format!("0::/{below}\n"),
            };
            if pid == std::process::id() {
                state.others.insert("/proc/self/cgroup".into(), line);
            }
        });
    }

    /// A process has ended.
    pub(super) fn leave(&self, pid: u32) {
        self.with(|state| {
            state.groups.values_mut().for_each(|group| group.processes.retain(|other| *other != pid));
        });
    }

    pub(super) fn set(&self, file: &str, text: &str) {
        let path = Path::new(file);
        self.with(|state| match state.groups.get_mut(path.parent().unwrap()) {
            Some(group) => group.settings.insert(path.file_name().unwrap().to_str().unwrap().into(), text.into()),
            None => state.others.insert(path.into(), text.into()),
        });
    }

    pub(super) fn forget(&self, file: &str) {
        self.with(|state| state.others.remove(Path::new(file)));
    }

    /// The groups that exist, below the mount point.
    pub(super) fn groups(&self) -> Vec<String> {
        let name = |folder: &PathBuf| folder.strip_prefix(MOUNT).unwrap().display().to_string();
        self.with(|state| state.groups.keys().map(name).filter(|name| !name.is_empty()).collect())
    }

    pub(super) fn processes(&self, folder: &str) -> Vec<u32> {
        self.with(|state| state.groups[Path::new(folder)].processes.clone())
    }

    fn refusal(&self) -> io::Result<()> {
        match self.mode {
            Mode::Writable => Ok(()),
            Mode::ReadOnly => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            Mode::Foreign => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    fn write_procs(&self, folder: &Path, text: &str) -> io::Result<()> {
        let divided = self.with(|state| {
            let group = &state.groups[folder];
            group.settings.get("cgroup.subtree_control").is_some_and(|list| !list.is_empty())
        });
        if divided && folder != Path::new(MOUNT) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        self.enter(folder, text.parse().unwrap());
        Ok(())
    }

    fn write_subtree_control(&self, folder: &Path, text: &str) -> io::Result<()> {
        self.with(|state| {
            let is_top = folder == Path::new(MOUNT);
            let group = state.groups.get_mut(folder).unwrap();
            if text == "+memory" && !group.processes.is_empty() && !is_top {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            let now = if text == "+memory" { "memory" } else { "" };
            group.settings.insert("cgroup.subtree_control".into(), now.into());
            Ok(())
        })
    }
}

impl Files for Kernel {
    fn read(&self, path: &Path) -> Option<String> {
        let name = path.file_name()?.to_str()?;
        self.with(|state| match state.groups.get(path.parent()?) {
            Some(group) => group.settings.get(name).cloned(),
            None => state.others.get(path).cloned(),
        })
    }
}

impl Tree for Kernel {
    fn make(&self, folder: &Path) -> io::Result<()> {
        self.refusal()?;
        self.with(|state| {
            let above = state.groups.get(folder.parent().unwrap()).ok_or(io::ErrorKind::NotFound)?;
            let given = above.settings.get("cgroup.subtree_control").is_some_and(|list| list.contains("memory"));
            if state.groups.contains_key(folder) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.groups.insert(folder.to_owned(), self.new_group(self.version == Version::V1 || given));
            Ok(())
        })
    }

    fn remove(&self, folder: &Path) -> io::Result<()> {
        self.refusal()?;
        self.with(|state| {
            let group = state.groups.get(folder).ok_or(io::ErrorKind::NotFound)?;
            let divided = state.groups.keys().any(|other| other.parent() == Some(folder));
            if divided || !group.processes.is_empty() {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            state.groups.remove(folder);
            Ok(())
        })
    }

    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        self.refusal()?;
        let (folder, name) = (file.parent().unwrap(), file.file_name().unwrap().to_str().unwrap());
        match name {
            "cgroup.procs" => self.write_procs(folder, text),
            "cgroup.subtree_control" => self.write_subtree_control(folder, text),
            name => self.with(|state| {
                let group = state.groups.get_mut(folder).ok_or(io::ErrorKind::NotFound)?;
                let setting = group.settings.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
                *setting = text.to_owned();
                Ok(())
            }),
        }
    }

    fn groups_in(&self, folder: &Path) -> Vec<String> {
        self.with(|state| {
            let below = state.groups.keys().filter(|group| group.parent() == Some(folder));
            below.map(|group| group.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        })
    }
}
