//! What can go wrong: with a pool ([`Error`]), with a job ([`JobError`]).

use std::fmt;
use std::io;

use crate::line::Refusal;

/// Why a pool could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside of what makes sense.
    Setting {
        /// Which setting of the builder.
        name: &'static str,
        /// What is wrong and what to give instead.
        problem: String,
    },
    /// The operating system gave no thread.
    Spawn {
        /// Name of the thread.
        thread: String,
        /// What it said.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Setting { name, problem } => write!(f, "cannot build the thread pool: {name}: {problem}"),
            Error::Spawn { thread, source } => write!(
                f,
                "cannot build the thread pool: starting thread {thread} failed: {source}; raise the limit of processes \
                 (ulimit -u, pids.max) or ask for fewer threads"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Setting { .. } => None,
            Error::Spawn { source, .. } => Some(source),
        }
    }
}

/// Why a job has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobError {
    /// The job panicked. The thread lives on.
    Panicked {
        /// What it said.
        message: String,
        /// `file:line:column`, if no other panic hook took our hook's place.
        location: Option<String>,
    },
    /// The job was never taken.
    Refused(Refusal),
    /// One of its deadlines passed. A job that was running was told so and goes on until it looks.
    TimedOut(Phase),
    /// [`Submission::cancel`](crate::Submission::cancel) or its [`Cancellation`](crate::Cancellation) was called, or the
    /// pool was given up while the job ran.
    Cancelled,
    /// The pool has no thread left and could start none: the system gave none, or what was given to
    /// [`Builder::init`](crate::Builder::init) failed five times in a row. It is tried again with the first job after a
    /// second. Nothing of this one ran.
    NoThread {
        /// Why the last start failed.
        reason: String,
    },
}

impl JobError {
    /// Whether the job was not taken only because there is no room now.
    pub(crate) fn is_for_now(&self) -> bool {
        matches!(self, JobError::Refused(Refusal::Full { .. } | Refusal::TooLongWait { .. }))
    }
}

/// Where a job was when its deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It waited in the queue and never ran.
    Queue,
    /// It ran.
    Run,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::Panicked { message, location: Some(location) } => {
                write!(f, "the job panicked at {location}: {message}")
            }
            JobError::Panicked { message, location: None } => write!(f, "the job panicked: {message}"),
            JobError::Refused(refusal) => refusal.fmt(f),
            JobError::TimedOut(Phase::Queue) => {
                f.write_str("the deadline of the job passed while it waited for a thread")
            }
            JobError::TimedOut(Phase::Run) => f.write_str("the deadline of the job passed while it ran"),
            JobError::Cancelled => f.write_str("the job was cancelled"),
            JobError::NoThread { reason } => {
                write!(f, "the job was refused: no thread of the pool could be started: {reason}; try again later")
            }
        }
    }
}

impl std::error::Error for JobError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JobError::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl From<Refusal> for JobError {
    fn from(refusal: Refusal) -> JobError {
        JobError::Refused(refusal)
    }
}
