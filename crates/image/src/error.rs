//! The one error type of the crate. Each variant names the HTTP status that fits it.

use std::borrow::Cow;
use std::fmt;

/// Why a picture could not be read, planned or made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Error {
    /// The first bytes are of no known picture format (HTTP 415).
    UnknownFormat,
    /// The format is known, but this variety of it is not supported (HTTP 415).
    Unsupported {
        /// The variety, as in "arithmetic-coded JPEG".
        what: Cow<'static, str>,
    },
    /// A limit of [`Limits`](crate::Limits) is exceeded (HTTP 413).
    TooLarge {
        /// What is too large, with its unit.
        what: Cow<'static, str>,
        /// The value that was asked for or found.
        value: u64,
        /// The limit that it exceeds.
        limit: u64,
    },
    /// The bytes are not a whole, valid picture of their format (HTTP 422). Truncated files are damaged, too.
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// The transform asks for something impossible (HTTP 400).
    InvalidTransform {
        /// The parameter and the range that it must be in.
        what: String,
    },
    /// The caller's `cancelled` said yes (HTTP 504 when it was a deadline).
    Cancelled,
    /// A fault of this crate or of an encoder, not of the input (HTTP 500).
    Internal {
        /// What failed.
        what: String,
    },
}

impl Error {
    pub(crate) fn damaged(what: impl fmt::Display) -> Self {
        Self::Damaged { what: what.to_string() }
    }

    pub(crate) fn unsupported(what: &'static str) -> Self {
        Self::Unsupported { what: what.into() }
    }

    pub(crate) fn internal(what: impl fmt::Display) -> Self {
        Self::Internal { what: what.to_string() }
    }

    pub(crate) fn invalid(what: impl fmt::Display) -> Self {
        Self::InvalidTransform { what: what.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFormat => f.write_str("the bytes are no JPEG, PNG, WebP or GIF picture; send one of these"),
            Self::Unsupported { what } => {
                write!(f, "{what} is not supported; save the picture as an ordinary JPEG, PNG, WebP or GIF")
            }
            Self::TooLarge { what, value, limit } => write!(f, "{what}: {value} is above the limit of {limit}"),
            Self::Damaged { what } => write!(f, "the picture is damaged: {what}"),
            Self::InvalidTransform { what } => write!(f, "the transform cannot be done: {what}"),
            Self::Cancelled => f.write_str("the work was cancelled before the picture was ready"),
            Self::Internal { what } => write!(f, "internal fault while making the picture: {what}"),
        }
    }
}

impl std::error::Error for Error {}
