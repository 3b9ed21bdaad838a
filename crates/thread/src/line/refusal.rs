//! [`Refusal`]: why a job is not let into a line.

use std::fmt;
use std::time::Duration;

/// Why a job was not taken. Nothing of it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The queue has reached its limit.
    Full {
        /// Jobs that wait.
        queued: usize,
        /// How many may.
        limit: usize,
    },
    /// The job would wait longer than the pool allows.
    TooLongWait {
        /// How long it would wait at the speed measured now.
        predicted: Duration,
        /// How long a job may.
        limit: Duration,
        /// When half of what is allowed will be left, at the speed measured now: the time for a `Retry-After`.
        retry_after: Duration,
    },
    /// A job with the same idempotency key has not ended yet.
    Duplicate,
    /// The pool drains or is gone.
    ShuttingDown,
}

impl Refusal {
    /// When to come back, if the pool can say so: for a `Retry-After`. A full queue says nothing of time.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::TooLongWait { retry_after, .. } => Some(*retry_after),
            Refusal::Full { .. } | Refusal::Duplicate | Refusal::ShuttingDown => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Full { queued, limit } => {
                write!(f, "the job was refused: {queued} jobs wait, {limit} may; try again later")
            }
            Refusal::TooLongWait { predicted, limit, retry_after } => write!(
                f,
                "the job was refused: it would wait {predicted:.1?}, {limit:.1?} is allowed; try again in {retry_after:.1?}"
            ),
            Refusal::Duplicate => {
                f.write_str("the job was refused: one with the same idempotency key has not ended yet; await that one")
            }
            Refusal::ShuttingDown => f.write_str("the job was refused: the pool is shutting down; ask another worker"),
        }
    }
}

impl std::error::Error for Refusal {}
