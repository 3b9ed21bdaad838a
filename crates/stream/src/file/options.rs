//! [`FileTarget`]: a file to be written, and how.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, FileType};

use super::output::Replacing;
use super::resolve::{Target, folder_of, resolve};
use super::sink::Writing;
use super::{FileError, Identity};
use crate::{Cause, Chunk, Error, Sink};

/// How sure it must be that a finished file survives a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// The kernel writes it to the disk in its own time. After a power failure the target may still be the old one.
    #[default]
    Cached,
    /// File and name are on the disk when the pipeline has ended.
    Synced,
}

/// A file to be written by a pipeline, and how.
///
/// What is a regular file, or not there, is replaced as a whole at the end: until then an existing file keeps its content,
/// and on an error, an abort or a crash it stays as it was and nothing is left beside it. (Where the file system has no
/// nameless files, the result has a temporary name, `.phalanx-….part`, which stays behind after a `kill -9`.)
/// A symbolic link is followed: its target is replaced. What is no regular file is written directly: FIFOs, devices,
/// terminals, Unix sockets.
///
/// The permissions of an existing file are kept, its group where the system allows it (else the group gets none);
/// its owner only for root; hard links, extended attributes and access lists are not.
///
/// ```
/// use phalanx_stream::{Durability, FileTarget, Source, pipeline};
///
/// let folder = tempfile::tempdir()?;
/// let target = FileTarget::new(folder.path().join("key")).mode(0o600).durability(Durability::Synced);
/// pipeline(Source::reader("a text", &b"secret"[..])).into(target.open()?).run_blocking()?;
/// assert_eq!(std::fs::read(folder.path().join("key"))?, b"secret");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FileTarget {
    path: PathBuf,
    pub(super) mode: Option<u32>,
    pub(super) durability: Durability,
}

impl FileTarget {
    /// The file of this name.
    pub fn new(path: impl Into<PathBuf>) -> FileTarget {
        FileTarget { path: path.into(), mode: None, durability: Durability::default() }
    }

    /// The permissions of the finished file: `0o600`. Default: those of the file that it replaces, or what is usual for a
    /// new one (`0o666` without the bits of the umask).
    pub fn mode(mut self, mode: u32) -> FileTarget {
        self.mode = Some(mode & 0o7777);
        self
    }

    /// Default: [`Durability::Cached`].
    pub fn durability(mut self, durability: Durability) -> FileTarget {
        self.durability = durability;
        self
    }

    /// Looks whether it can be written, and gives the sink. It is opened with the first write.
    pub fn open(self) -> Result<Sink<Chunk>, Error> {
        let what = self.path.display().to_string();
        let identity = Identity::of_path(&self.path);
        let writing = match self.into_writing() {
            Ok(writing) => writing,
            Err(cause) => return Err(Error::sink(what, cause)),
        };
        let mut sink = Sink::blocking(what, writing);
        sink.identity = identity;
        Ok(sink)
    }

    fn into_writing(self) -> Result<Writing, Cause> {
        match resolve(&self.path)? {
            Target::Folder => Err(FileError::Folder.into()),
            Target::Into { kind } => {
                if kind != FileType::Socket {
                    rustix::fs::access(&self.path, Access::WRITE_OK)?;
                }
                Ok(Writing::into_path(self.path, kind)?)
            }
            Target::Replace { path, existing } => {
                can_hold_files(&folder_of(&path))?;
                Ok(Writing::replacing(Replacing { path, existing, mode: self.mode, durability: self.durability }))
            }
        }
    }
}

fn can_hold_files(folder: &Path) -> Result<(), FileError> {
    match rustix::fs::stat(folder) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
        Ok(_) => {
            return Err(FileError::NoFolder { folder: folder.to_owned(), cause: rustix::io::Errno::NOTDIR.into() });
        }
        Err(error) => return Err(FileError::NoFolder { folder: folder.to_owned(), cause: error.into() }),
    }
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| FileError::FolderNotWritable { folder: folder.to_owned(), cause: error.into() })
}
