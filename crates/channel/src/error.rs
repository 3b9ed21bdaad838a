//! What can go wrong between two processes.

use std::fmt;
use std::io;
use std::time::Duration;

/// An error of one end of a channel.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer has closed its end or died.
    Closed,
    /// The peer does not read: the kernel's buffer is full. Nothing was sent; try again when the descriptor is
    /// writable.
    Full,
    /// The message is larger than a packet may be. Nothing was sent.
    TooLarge {
        /// Bytes of the encoded message.
        bytes: usize,
        /// Most bytes that a message may have.
        limit: usize,
    },
    /// More descriptors than one message can carry. Nothing was sent.
    TooManyDescriptors {
        /// Number of descriptors.
        count: usize,
        /// Most that a message may carry.
        limit: usize,
    },
    /// The message could not be encoded.
    Encode(String),
    /// What the peer sent is no message of the expected type: it runs another version, or is broken.
    Malformed(String),
    /// The kernel had to drop descriptors that came with a message: this process has too many open files. Only that message
    /// is lost; receive again for the next one.
    DescriptorsLost,
    /// Descriptors came with a message, and this end accepts none. They were closed.
    DescriptorsRefused {
        /// Number of descriptors.
        count: usize,
    },
    /// The peer has not read for so long.
    Stalled {
        /// How long we waited.
        waited: Duration,
    },
    /// The peer has not answered (or confirmed) in time. Whether it received the message is not known.
    NoAnswer {
        /// How long we waited.
        waited: Duration,
    },
    /// The peer received the request and dropped it without an answer.
    Unanswered,
    /// A ticket was handed to another channel than the one that its request came over.
    ForeignTicket,
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
            Error::Closed => write!(f, "the other end of the channel is closed"),
            Error::Full => write!(f, "the other end of the channel does not read: its buffer is full"),
            Error::TooLarge { bytes, limit } => {
                write!(f, "the message has {bytes} bytes, a channel carries at most {limit}")
            }
            Error::TooManyDescriptors { count, limit } => {
                write!(f, "{count} descriptors in one message, at most {limit} are possible")
            }
            Error::Encode(why) => write!(f, "the message cannot be encoded: {why}"),
            Error::Malformed(why) => {
                write!(f, "the peer sent no valid message: {why}; do both ends run the same version?")
            }
            Error::DescriptorsLost => write!(
                f,
                "descriptors that came with a message were lost: this process has too many open files; raise its \
                 limit (ulimit -n)"
            ),
            Error::DescriptorsRefused { count } => write!(
                f,
                "{count} descriptors came with a message and were closed: this end of the channel accepts none \
                 (Options::descriptors)"
            ),
            Error::Stalled { waited } => {
                write!(f, "the other end of the channel has not read for {waited:?}: is it stuck?")
            }
            Error::NoAnswer { waited } => write!(f, "the other end of the channel has not answered for {waited:?}"),
            Error::Unanswered => write!(f, "the other end of the channel dropped the request without an answer"),
            Error::ForeignTicket => {
                write!(f, "the request came over another channel: reply over the channel that it was received from")
            }
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

pub(crate) fn system(attempt: &'static str, source: rustix::io::Errno) -> Error {
    Error::System { attempt, source: source.into() }
}
