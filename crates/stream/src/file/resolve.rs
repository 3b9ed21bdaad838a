//! Where a path that is to be written leads: through symbolic links, to a file to replace or to something to write into.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;
/// The folders below here hold links to what is open, not to names: `/dev/stdout` leads to `/proc/self/fd/1`.
const PROC_MAGIC: u64 = 0x9fa0;

/// What is there.
pub(super) enum Target {
    /// Nothing yet, or a regular file: to be replaced under this path, behind all links.
    Replace { path: PathBuf, existing: Option<Stat> },
    /// Something to be written into as it is, with its kind.
    Into { kind: FileType },
    /// A folder.
    Folder,
}

pub(super) fn resolve(path: &Path) -> io::Result<Target> {
    let existing = match rustix::fs::stat(path) {
        Ok(stat) => Some(stat),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(stat) = &existing {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Ok(Target::Folder),
            kind => return Ok(Target::Into { kind }),
        }
    }
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match rustix::fs::lstat(&path) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {}
            Ok(_) | Err(Errno::NOENT) => return Ok(Target::Replace { path, existing }),
            Err(error) => return Err(error.into()),
        }
        let folder = folder_of(&path);
        if existing.is_some() && is_proc(&folder) {
            return Ok(Target::Into { kind: FileType::RegularFile });
        }
        path = folder.join(std::fs::read_link(&path)?);
    }
    Err(Errno::LOOP.into())
}

/// The folder that has the name.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) => PathBuf::from("."),
        None => PathBuf::from("/"),
    }
}

fn is_proc(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|system| u64::try_from(system.f_type).is_ok_and(|kind| kind == PROC_MAGIC))
}
