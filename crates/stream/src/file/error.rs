//! [`FileError`]: a file that is refused before anything was done to it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a file was refused as an end of a pipeline, before anything was done to it. It is the cause of the pipeline's
/// error: `error.cause_as::<FileError>()`.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileError {
    /// It is a folder.
    Folder,
    /// The target is what the pipeline reads.
    SameAsSource {
        /// The name under which it is read.
        source: String,
    },
    /// The folder of the target is not there, or no folder.
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The folder of the target takes no new file, and the result is written beside the target first.
    FolderNotWritable {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// What was there as a regular file has become something else while the pipeline ran: it is not replaced.
    NotRegularAnyMore,
}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Folder => write!(formatter, "it is a folder; name a file"),
            FileError::SameAsSource { source } => {
                write!(formatter, "it is the same file as the input {source}; name another output")
            }
            FileError::NoFolder { folder, cause } => {
                write!(formatter, "its folder {} cannot be used: {cause}", folder.display())
            }
            FileError::FolderNotWritable { folder, cause } => write!(
                formatter,
                "no file can be made in {}, where the result is kept until it is whole: {cause}",
                folder.display()
            ),
            FileError::NotRegularAnyMore => {
                write!(formatter, "it has become something else than a regular file meanwhile, and was not replaced")
            }
        }
    }
}

impl StdError for FileError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            FileError::NoFolder { cause, .. } | FileError::FolderNotWritable { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
