//! What can go wrong with a port: [`PostError`], [`Closed`].

use std::fmt;

/// Why a value was not posted. It comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PostError<T> {
    /// So many messages wait already as may, and no place became free in the time given.
    Full(T),
    /// The channel is closed, or the other side is gone: nobody will ever receive it.
    Closed(T),
}

impl<T> PostError<T> {
    /// The value that was not posted.
    pub fn into_inner(self) -> T {
        match self {
            PostError::Full(value) | PostError::Closed(value) => value,
        }
    }
}

impl<T> fmt::Debug for PostError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PostError::Full(_) => "Full(..)",
            PostError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for PostError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PostError::Full(_) => "the message was not posted: the port is full; wait for room with post, or try again",
            PostError::Closed(_) => {
                "the message was not posted: the other side is closed or gone, nobody would receive it"
            }
        })
    }
}

impl<T> std::error::Error for PostError<T> {}

/// The end: the channel is closed, and everything that was queued has been received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is closed, and everything that was posted has been received")
    }
}

impl std::error::Error for Closed {}
