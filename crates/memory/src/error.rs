//! What can go wrong when a process is measured.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a process could not be measured.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file of `/proc` could not be read: the process is gone, is another user's, or `/proc` is hidden.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file was read but is not in the form that Linux documents.
    Garbled {
        /// Which file.
        path: PathBuf,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreadable { path, source } => write!(
                f,
                "cannot measure memory: reading {} failed: {source}; check that /proc is mounted and the process lives",
                path.display()
            ),
            Error::Garbled { path } => write!(
                f,
                "cannot measure memory: {} is not in the form that Linux documents; check that /proc is a real procfs",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Unreadable { source, .. } => Some(source),
            Error::Garbled { .. } => None,
        }
    }
}
