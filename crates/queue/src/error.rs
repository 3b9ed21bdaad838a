//! [`Error`]: what can go wrong with a queue, and what to do next.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Capability;

/// Why a queue did not do what it was asked. It travels between processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Error {
    /// The URL names no queue that this program can use.
    BadUrl {
        /// The URL, without a password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No queue can be called so.
    BadName {
        /// The name.
        name: String,
    },
    /// This broker cannot do it; nothing was done. The table is in `docs/queues.md`.
    Unsupported {
        /// What was asked.
        capability: Capability,
        /// Of whom.
        broker: String,
    },
    /// The broker cannot be reached, or did not confirm in time. What was sent may have been taken or not; sending it again under
    /// the same id is safe.
    Unavailable {
        /// Whom.
        broker: String,
        /// What it, or the system, says.
        reason: String,
    },
    /// The broker said no.
    Refused {
        /// Whom.
        broker: String,
        /// Its words.
        reason: String,
    },
    /// The queue holds as much as it may. Nothing was taken.
    Full {
        /// Which.
        queue: String,
        /// Messages or jobs that wait.
        waiting: u64,
        /// How many may.
        limit: u64,
        /// When to come back, if the rate of the last minute tells.
        retry_after: Option<Duration>,
    },
    /// A body is larger than the queue takes.
    TooBig {
        /// Bytes of it.
        bytes: u64,
        /// Bytes that are taken.
        limit: u64,
    },
    /// Nobody declared this queue.
    NoSuchQueue {
        /// Its name.
        queue: String,
    },
    /// There is no such job (any more).
    NoSuchJob {
        /// Its id.
        job: String,
    },
    /// The queue exists with other properties.
    Mismatch {
        /// Its name.
        queue: String,
        /// What differs.
        reason: String,
    },
    /// The job is in a state in which that cannot be done.
    WrongState {
        /// Its id.
        job: String,
        /// What was asked, and in which state the job is.
        reason: String,
    },
    /// The delivery or lease belongs to somebody else by now: another attempt was begun. What was done is not recorded.
    Stale,
    /// The store cannot be used: a full disk, a read-only folder, a damaged file, a file of a newer program.
    Store {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A blob is not in the blob store, or its bytes are not those that its hash says.
    Blob {
        /// The hash, in hexadecimal digits.
        hash: String,
        /// What is wrong.
        reason: String,
    },
    /// What came cannot be understood: by a newer program, or by somebody else.
    Malformed {
        /// What it is.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The handle was closed.
    Closed,
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Error::Unavailable { .. } | Error::Full { .. })
    }

    #[allow(dead_code)] // Whether it is used depends on the brokers that are built.
    pub(crate) fn unsupported(capability: Capability, broker: &str) -> Error {
        Error::Unsupported { capability, broker: broker.to_owned() }
    }

    #[allow(dead_code)] // As above.
    pub(crate) fn unavailable(broker: &str, reason: impl fmt::Display) -> Error {
        Error::Unavailable { broker: broker.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::BadUrl { url, reason } => write!(
                f,
                "\"{url}\" names no queue: {reason}; give embedded:FOLDER, amqp://…, kafka://… or postgres://…"
            ),
            Error::BadName { name } => write!(
                f,
                "a queue cannot be called \"{name}\": 1 to {} letters, digits, '.', '_' or '-' make a name",
                200
            ),
            Error::Unsupported { capability, broker } => write!(
                f,
                "{broker} cannot do this: {capability}; use embedded:FOLDER, postgres://…, or add ?state=postgres://… to the URL"
            ),
            Error::Unavailable { broker, reason } => {
                write!(f, "{broker} cannot be reached: {reason}; what was not confirmed may be sent again")
            }
            Error::Refused { broker, reason } => write!(f, "{broker} refused: {reason}"),
            Error::Full { queue, waiting, limit, retry_after } => {
                write!(f, "the queue \"{queue}\" is full: {waiting} wait, {limit} may; ")?;
                match retry_after {
                    Some(time) => write!(f, "try again in {time:.1?}"),
                    None => f.write_str("try again later"),
                }
            }
            Error::TooBig { bytes, limit } => write!(f, "it has {bytes} bytes, and the queue takes {limit}"),
            Error::NoSuchQueue { queue } => write!(f, "there is no queue \"{queue}\"; declare it first"),
            Error::NoSuchJob { job } => write!(f, "there is no job {job}: it never was, or its time is over"),
            Error::Mismatch { queue, reason } => {
                write!(f, "the queue \"{queue}\" exists with other properties: {reason}; use those, or delete it first")
            }
            Error::WrongState { job, reason } => write!(f, "job {job}: {reason}"),
            Error::Stale => f.write_str("another attempt was begun meanwhile; this one is not recorded"),
            Error::Store { path, reason } => write!(f, "the queue's store {}: {reason}", path.display()),
            Error::Blob { hash, reason } => write!(f, "the blob {hash}: {reason}"),
            Error::Malformed { what, reason } => write!(f, "{what} cannot be understood: {reason}"),
            Error::Closed => f.write_str("the queue was closed"),
        }
    }
}

impl std::error::Error for Error {}

/// For names that are names already.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Error {
        match never {}
    }
}
