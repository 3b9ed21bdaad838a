//! [`Identity`]: whether two ends are the same file, whatever their names.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, Stat};

use super::FileError;
use crate::Error;

/// What a file is, whatever it is called. Terminals, sockets and other devices have none: reading and writing the same
/// one is common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A regular file or a FIFO.
    File { device: u64, inode: u64 },
    /// A disk.
    Disk { number: u64 },
}

impl Identity {
    pub(crate) fn of_path(path: &Path) -> Option<Identity> {
        Identity::of(&rustix::fs::stat(path).ok()?)
    }

    pub(crate) fn of_descriptor(descriptor: impl AsFd) -> Option<Identity> {
        Identity::of(&rustix::fs::fstat(descriptor).ok()?)
    }

    pub(super) fn of(stat: &Stat) -> Option<Identity> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Fifo => Some(Identity::File { device: stat.st_dev, inode: stat.st_ino }),
            FileType::BlockDevice => Some(Identity::Disk { number: stat.st_rdev }),
            _ => None,
        }
    }
}

/// An error if a pipeline would write what it reads; to be asked before anything is written.
pub(crate) fn refuse_same(source: (&str, Option<Identity>), sink: (&str, Option<Identity>)) -> Result<(), Error> {
    match (source.1, sink.1) {
        (Some(from), Some(to)) if from == to => {
            Err(Error::sink(sink.0, FileError::SameAsSource { source: source.0.to_owned() }))
        }
        _ => Ok(()),
    }
}
