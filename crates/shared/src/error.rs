//! What can go wrong with memory that other processes write too.

use std::fmt;
use std::io;
use std::time::Duration;

/// An error of a shared buffer, a view, a ring of messages or a blob.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no such element or byte. Nothing was read or written.
    OutOfBounds {
        /// First index (of elements in a view, of bytes in a buffer) that was asked for.
        index: usize,
        /// How many were asked for.
        count: usize,
        /// How many there are now.
        len: usize,
    },
    /// A view must begin at a multiple of its elements' size.
    Misaligned {
        /// Where it should have begun.
        byte_offset: usize,
        /// Size of one element in bytes.
        element_bytes: usize,
    },
    /// The memory came with a read-only descriptor. Nothing was written.
    ReadOnly {
        /// What was attempted.
        attempt: &'static str,
    },
    /// The buffer was made with a fixed length.
    NotGrowable,
    /// A buffer only grows.
    CannotShrink {
        /// Bytes asked for.
        bytes: usize,
        /// Bytes that it has.
        len: usize,
    },
    /// More than the limit. Nothing was allocated.
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        bytes: u64,
        /// Most bytes that are possible.
        limit: u64,
    },
    /// The descriptor is not what it should be.
    Refused {
        /// What was expected.
        expected: &'static str,
        /// Why it is none.
        why: &'static str,
    },
    /// Another process wrote something into the shared memory that makes no sense: it is broken, or lies.
    Corrupt {
        /// What makes no sense.
        what: &'static str,
    },
    /// The file became shorter while it was read.
    Shrunk {
        /// Bytes that it had.
        announced: u64,
        /// Bytes that could be read.
        read: u64,
    },
    /// There is no space for the message now. Nothing was sent.
    Full,
    /// The deadline passed. Nothing was sent or received.
    TimedOut {
        /// How long we waited.
        waited: Duration,
    },
    /// As many asynchronous waits are pending as this process may have.
    TooManyWaits {
        /// So many may always be pending; more if they are on few buffers.
        limit: usize,
    },
    /// The kernel (or a seccomp filter) does not offer what is needed.
    Unsupported {
        /// What is needed, and since when kernels have it.
        what: &'static str,
    },
    /// The operating system refused.
    System {
        /// What was attempted.
        attempt: &'static str,
        /// What came back.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::OutOfBounds { index, count: 1, len } => write!(f, "there is no index {index}: the length is {len}"),
            Error::OutOfBounds { index, count, len } => {
                write!(f, "{count} from index {index} on are more than there are: the length is {len}")
            }
            Error::Misaligned { byte_offset, element_bytes } => {
                write!(f, "elements of {element_bytes} bytes cannot begin at byte {byte_offset}: give a multiple")
            }
            Error::ReadOnly { attempt } => {
                write!(f, "cannot {attempt}: this memory came with a read-only descriptor; pass `descriptor()` instead")
            }
            Error::NotGrowable => {
                write!(f, "cannot grow a buffer of fixed length: make it with `SharedBuffer::growable`")
            }
            Error::CannotShrink { bytes, len } => {
                write!(f, "cannot set the length to {bytes} bytes: it is {len}, and a buffer only grows")
            }
            Error::TooLarge { what, bytes, limit } => {
                write!(f, "{what} of {bytes} bytes is too large: at most {limit} are possible")
            }
            Error::Refused { expected, why } => write!(f, "the descriptor is no {expected}: {why}"),
            Error::Corrupt { what } => {
                write!(f, "{what} in the shared memory makes no sense: give the memory up, its other user is broken")
            }
            Error::Shrunk { announced, read } => {
                write!(f, "the file became shorter while it was read: it had {announced} bytes, {read} could be read")
            }
            Error::Full => write!(f, "the ring is full: the receiver has not yet read what lies in it"),
            Error::TimedOut { waited } => write!(f, "nothing happened within {waited:?}: is the other process alive?"),
            Error::TooManyWaits { limit } => {
                write!(f, "{limit} asynchronous waits or more are pending: end some, or wait on a thread of your own")
            }
            Error::Unsupported { what } => write!(f, "this system does not offer {what}"),
            Error::System { attempt, source } => write!(f, "cannot {attempt}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::System { source, .. } => source.kind(),
            Error::OutOfBounds { .. } | Error::Misaligned { .. } | Error::Refused { .. } | Error::TooLarge { .. } => {
                io::ErrorKind::InvalidInput
            }
            Error::Corrupt { .. } | Error::Shrunk { .. } => io::ErrorKind::InvalidData,
            Error::ReadOnly { .. } => io::ErrorKind::PermissionDenied,
            Error::Full | Error::TooManyWaits { .. } => io::ErrorKind::WouldBlock,
            Error::TimedOut { .. } => io::ErrorKind::TimedOut,
            Error::NotGrowable | Error::CannotShrink { .. } | Error::Unsupported { .. } => io::ErrorKind::Unsupported,
        };
        io::Error::new(kind, error)
    }
}

/// An error of the operating system.
pub(crate) fn system(attempt: &'static str, source: impl Into<io::Error>) -> Error {
    Error::System { attempt, source: source.into() }
}

/// Why [`Segment::map`](crate::Segment::map) failed: the descriptor is the wrong one, or the system refused.
pub(crate) fn unmappable(expected: &'static str, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::InvalidInput => {
            Error::Refused { expected, why: "it is no memory file that is sealed against shrinking and growing" }
        }
        _ => system("map shared memory", source),
    }
}
