//! [`Logs`]: what becomes of what the workers write.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Size at which a log file is put aside: 64 MiB.
const ROTATE_BYTES: u64 = 64 << 20;
/// Files that were put aside and are kept.
const KEEP: u32 = 5;

/// What becomes of what the workers write to their standard output and standard error.
///
/// Without it they have those of the primary. With it the front process reads them, marks each line with the number of its
/// worker, and writes it on. A line that is a JSON object gets a member (`{"worker":3,…`), any other line a prefix
/// (`worker 3 | …`). Lines of more than 16 KiB are split, which is marked by `…`. When the place where they go takes no
/// more (a full disk, a pipe that nobody reads), lines are dropped and counted; the log says how many when it goes on.
///
/// ```
/// use phalanx_cluster::Logs;
///
/// let logs = Logs::to_file("server.log").rotate_at(16 << 20).keep(3);
/// let logs = Logs::to_stderr(); // of the primary
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    pub(crate) file: Option<PathBuf>,
    pub(crate) rotate_at: u64,
    pub(crate) keep: u32,
    pub(crate) events: bool,
    /// Stands before the worker of each line; empty for nothing.
    pub(crate) name: String,
}

impl Logs {
    /// To the standard error of the primary.
    pub fn to_stderr() -> Logs {
        Logs { file: None, rotate_at: ROTATE_BYTES, keep: KEEP, events: false, name: String::new() }
    }

    /// To the end of this file, which is created if it is not there. SIGUSR1 to the primary opens it anew.
    pub fn to_file(path: impl AsRef<Path>) -> Logs {
        Logs { file: Some(path.as_ref().to_owned()), ..Logs::to_stderr() }
    }

    /// When the file has this many bytes it is put aside as `PATH.1`, that one as `PATH.2`, and so on. Default 64 MiB; 0 never
    /// does it, for those who rotate by other means.
    pub fn rotate_at(mut self, bytes: u64) -> Logs {
        self.rotate_at = bytes;
        self
    }

    /// How many files that were put aside are kept. Default 5; with 0 the file begins anew.
    pub fn keep(mut self, files: u32) -> Logs {
        self.keep = files;
        self
    }

    /// Whose workers they are, in each line (`api worker 3 | …`, `{"app":"api","worker":3,…`): for clusters that write to the same
    /// place. Default: nothing.
    pub fn named(mut self, name: impl Into<String>) -> Logs {
        self.name = name.into();
        self
    }

    /// Whether the file can be written, before anything is started. What is no plain file (a pipe, a terminal) is taken as it is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Some(path) = &self.file else { return Ok(()) };
        if std::fs::metadata(path).is_ok_and(|file| !file.is_file() && !file.is_dir()) {
            return Ok(());
        }
        match super::file::append_to(path) {
            Ok(_) => Ok(()),
            Err(why) => Err(Error::Setting { what: format!("the log cannot be written to {}: {why}", path.display()) }),
        }
    }

    /// Writes the events of the cluster into the log too (`primary | worker 3 is ready after 12 ms`).
    pub fn with_events(mut self) -> Logs {
        self.events = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_before_anything_starts() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = Logs::to_file(folder.path().join("no/such/log")).check().unwrap_err().to_string();
        assert!(refusal.contains("no/such/log") && refusal.contains("No such file"), "{refusal}");
        assert!(Logs::to_file(folder.path()).check().is_err());
        assert!(Logs::to_file(folder.path().join("log")).check().is_ok());
        assert!(Logs::to_file("/dev/null").check().is_ok() && Logs::to_stderr().check().is_ok());
    }
}
