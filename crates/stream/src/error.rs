//! [`Error`]: why a pipeline ended before its end. There is one, and every part hears the same.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

/// What a part reports: any error. It comes back inside [`Error`], with the name of the part.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why a stream or a pipeline ended before its end: the first thing that went wrong. Clones share the cause.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The source could not be opened or read.
    Source {
        /// The file, socket or stream.
        what: String,
        /// What came back.
        cause: Arc<dyn StdError + Send + Sync>,
    },
    /// A transform refused what came, or could not go on.
    Transform {
        /// Its name: `gunzip`, `map`.
        name: String,
        /// What it said; for those of this crate often a `DecodeError`.
        cause: Arc<dyn StdError + Send + Sync>,
    },
    /// The sink could not be opened, written or finished.
    Sink {
        /// The file, socket or stream.
        what: String,
        /// What came back.
        cause: Arc<dyn StdError + Send + Sync>,
    },
    /// A part panicked. The threads live on.
    Panicked {
        /// Its name.
        part: String,
        /// The text of the panic.
        message: String,
    },
    /// Somebody asked for the end: an abort handle, or the future was dropped.
    Aborted {
        /// Who or why.
        reason: String,
    },
    /// The other side was dropped or destroyed before it ended its stream.
    PrematureClose {
        /// What was closed.
        what: String,
    },
    /// Something was written after the end.
    WriteAfterEnd,
    /// The pool or the system had no thread for the work.
    NoThread {
        /// What it said.
        why: String,
    },
}

impl Error {
    /// The source with this name cannot be read. A cause that is an [`Error`] already stays what it is.
    pub fn source(what: impl Into<String>, cause: impl Into<Cause>) -> Error {
        own_or(cause.into(), |cause| Error::Source { what: what.into(), cause })
    }

    /// The transform with this name failed. A cause that is an [`Error`] already stays what it is.
    pub fn transform(name: impl Into<String>, cause: impl Into<Cause>) -> Error {
        own_or(cause.into(), |cause| Error::Transform { name: name.into(), cause })
    }

    /// The sink with this name cannot be written. A cause that is an [`Error`] already stays what it is.
    pub fn sink(what: impl Into<String>, cause: impl Into<Cause>) -> Error {
        own_or(cause.into(), |cause| Error::Sink { what: what.into(), cause })
    }

    /// Somebody asked for the end.
    pub fn aborted(reason: impl Into<String>) -> Error {
        Error::Aborted { reason: reason.into() }
    }

    /// The cause as a type of its own, if it or a cause of it is one: `error.cause_as::<std::io::Error>()`.
    pub fn cause_as<E: StdError + 'static>(&self) -> Option<&E> {
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            // An error of I/O hides the one it was made of.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause = inner.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
        }
        None
    }
}

fn own_or(cause: Cause, wrap: impl FnOnce(Arc<dyn StdError + Send + Sync>) -> Error) -> Error {
    match cause.downcast::<Error>() {
        Ok(own) => *own,
        Err(cause) => wrap(cause.into()),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Source { what, cause } => write!(formatter, "cannot read {what}: {cause}"),
            Error::Transform { name, cause } => write!(formatter, "{name}: {cause}"),
            Error::Sink { what, cause } => write!(formatter, "cannot write {what}: {cause}"),
            Error::Panicked { part, message } => write!(formatter, "{part} panicked: {message}"),
            Error::Aborted { reason } => write!(formatter, "aborted: {reason}"),
            Error::PrematureClose { what } => write!(formatter, "{what} was closed before its end"),
            Error::WriteAfterEnd => write!(formatter, "written after the end"),
            Error::NoThread { why } => write!(formatter, "no thread for the work: {why}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Error::Source { cause, .. } | Error::Transform { cause, .. } | Error::Sink { cause, .. } => {
                Some(cause.as_ref())
            }
            _ => None,
        }
    }
}
