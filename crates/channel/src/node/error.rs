//! What can go wrong on a connection with Node.

use std::fmt;
use std::io;
use std::time::Duration;

/// An error of the Node wire.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer has closed its end or died, or this end was closed. The message may not have arrived.
    Closed,
    /// The outgoing queue is full: the peer does not read. Nothing was sent.
    Full,
    /// The peer read too little for a while.
    Stalled {
        /// How long the message waited.
        waited: Duration,
    },
    /// The message is larger than the channel allows. An outgoing one was not sent; after an incoming one the
    /// channel cannot go on.
    TooLarge {
        /// Bytes of the message, or as many of them as were looked at.
        bytes: usize,
        /// Most bytes that a message may have ([`Options::largest_message`](super::Options::largest_message)).
        limit: usize,
    },
    /// The value is nested deeper than [`MAX_NESTING`](super::MAX_NESTING).
    TooDeep,
    /// The value has no form on the wire. Nothing was sent.
    Encode(String),
    /// What the peer sent is no message. The channel goes on with the next one.
    Malformed(String),
    /// The peer sent a valid message, but it is none of the expected type. The channel goes on with the next one.
    Unexpected(String),
    /// A message whose `cmd` begins with `NODE_` is Node's own, and would never reach the program of the peer.
    /// Nothing was sent; rename the member, or see
    /// [`send_internal`](super::NodeChannel::send_internal).
    Reserved(String),
    /// Node cannot take this descriptor (some kinds would end its process), or not as this kind of handle. Nothing
    /// was sent.
    Handle(String),
    /// The peer did not say that the handle has arrived. It may still arrive.
    NotAcknowledged {
        /// How long was waited for the word.
        waited: Duration,
    },
    /// The peer said that the message came without its descriptor, again and again: it has too many open files.
    HandleLost {
        /// How often the handle was sent.
        attempts: u32,
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
            Error::Closed => write!(f, "the channel to the Node process is closed"),
            Error::Full => write!(f, "the queue to the Node process is full: it does not read"),
            Error::Stalled { waited } => {
                write!(f, "the Node process did not take the message within {} ms", waited.as_millis())
            }
            Error::TooLarge { bytes, limit } => {
                write!(f, "a message of {bytes} bytes or more, the channel carries at most {limit}; raise its limit")
            }
            Error::TooDeep => write!(f, "the value is nested deeper than {} levels", super::MAX_NESTING),
            Error::Encode(why) => write!(f, "the message cannot be encoded: {why}"),
            Error::Malformed(why) => write!(
                f,
                "the peer sent no valid message: {why}; do both ends use the same serialization (json or advanced)?"
            ),
            Error::Unexpected(why) => write!(f, "the peer sent a message of another type: {why}"),
            Error::Reserved(command) => write!(
                f,
                "a message with cmd {command:?} is kept for Node itself and would not reach the peer's program; rename it"
            ),
            Error::Handle(why) => write!(f, "the descriptor cannot be sent to Node: {why}"),
            Error::NotAcknowledged { waited } => {
                write!(f, "the peer did not confirm the handle within {} ms; it may be busy", waited.as_millis())
            }
            Error::HandleLost { attempts } => write!(
                f,
                "the handle was sent {attempts} times and did not arrive; the peer may have too many open files"
            ),
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

pub(super) fn malformed(why: impl Into<String>) -> Error {
    Error::Malformed(why.into())
}

pub(super) fn system(attempt: &'static str, source: impl Into<io::Error>) -> Error {
    Error::System { attempt, source: source.into() }
}
