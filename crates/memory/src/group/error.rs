//! What can go wrong with control groups.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why no control groups can be made here.
#[derive(Debug)]
#[non_exhaustive]
pub enum NoGroups {
    /// `/proc/self/cgroup` cannot be read: where this process stands is not known.
    Hidden,
    /// No hierarchy with the memory controller is mounted, or it is not given to the group of this process.
    NoController,
    /// Version 2: other processes live in the group of this process, and one that holds processes cannot be divided.
    Occupied {
        /// That group.
        folder: PathBuf,
    },
    /// The kernel refused: read-only, or not ours.
    Refused(GroupError),
}

impl fmt::Display for NoGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoGroups::Hidden => f.write_str("/proc/self/cgroup cannot be read"),
            NoGroups::NoController => f.write_str("there is no control group with the memory controller"),
            NoGroups::Occupied { folder } => write!(
                f,
                "other processes live in the control group {}, which can therefore not be divided; start the program in one of its own (systemd: Delegate=yes)",
                folder.display()
            ),
            NoGroups::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NoGroups {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            NoGroups::Refused(error) => error.source(),
            _ => None,
        }
    }
}

impl From<GroupError> for NoGroups {
    fn from(error: GroupError) -> NoGroups {
        NoGroups::Refused(error)
    }
}

/// What the kernel refused to do with a control group.
#[derive(Debug)]
pub struct GroupError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl GroupError {
    pub(super) fn of(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> GroupError {
        let path = path.to_owned();
        move |source| GroupError { attempt, path, source }
    }

    /// The kind of what the kernel said.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GroupError { attempt, path, source } = self;
        write!(f, "cannot {attempt} {}: {source}", path.display())?;
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                f.write_str("; the control group has to be delegated to this process, and writable")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for GroupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
