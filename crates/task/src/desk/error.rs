//! What can go wrong at a desk.

use std::fmt;
use std::io;

/// A job process said something that makes no sense: it is broken or lies, and is to be killed. Says what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

/// The owner cannot make a desk, or offer a job.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeskError {
    /// The input is larger than the limit.
    TooBig {
        /// Its bytes.
        bytes: u64,
        /// Bytes that are taken.
        limit: u64,
    },
    /// The job process has not said hello, or knows no such task.
    UnknownTask {
        /// The task.
        task: String,
    },
    /// The job process wrote into the shared memory what makes no sense.
    Malformed(Malformed),
    /// The operating system refused.
    System {
        /// What was attempted.
        attempt: &'static str,
        /// What came back.
        source: io::Error,
    },
}

impl DeskError {
    pub(crate) fn system(attempt: &'static str, source: impl Into<io::Error>) -> DeskError {
        DeskError::System { attempt, source: source.into() }
    }

    pub(crate) fn of_ring(error: phalanx_shared::Error) -> DeskError {
        match error {
            phalanx_shared::Error::System { attempt, source } => DeskError::System { attempt, source },
            other => DeskError::Malformed(other.into()),
        }
    }
}

impl From<phalanx_shared::Error> for Malformed {
    fn from(error: phalanx_shared::Error) -> Malformed {
        Malformed(error.to_string())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DeskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeskError::TooBig { bytes, limit } => write!(f, "the input has {bytes} bytes, and {limit} are taken"),
            DeskError::UnknownTask { task } => write!(f, "the job process knows no task \"{task}\""),
            DeskError::Malformed(what) => write!(f, "the job process is broken: {what}"),
            DeskError::System { attempt, source } => write!(f, "cannot {attempt}: {source}"),
        }
    }
}

impl std::error::Error for Malformed {}

impl std::error::Error for DeskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DeskError::System { source, .. } => Some(source),
            DeskError::Malformed(what) => Some(what),
            _ => None,
        }
    }
}
