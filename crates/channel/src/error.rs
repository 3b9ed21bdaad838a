//! What can go wrong between two processes.

use std::fmt;
use std::io;

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
    /// The kernel had to drop descriptors that came with a message: this process has too many open files.
    DescriptorsLost,
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
