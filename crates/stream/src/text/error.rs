//! [`TextError`]: what is wrong with a text, and where.

use std::fmt;

/// What is wrong with a text, and where: the cause in [`Error::Transform`](crate::Error::Transform).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextError {
    /// No UTF-8.
    InvalidUtf8 {
        /// Bytes in front of the first wrong one.
        offset: u64,
    },
    /// A line of text that is no UTF-8.
    InvalidLine {
        /// Its number, from 1.
        line: u64,
    },
    /// A line longer than allowed: perhaps no text at all.
    LineTooLong {
        /// Its number, from 1.
        line: u64,
        /// Bytes that a line may have.
        limit: usize,
    },
    /// A line, value or row that cannot be understood.
    Malformed {
        /// The number of the line, from 1; of a row, the line where it begins.
        line: u64,
        /// What the decoder said.
        why: String,
    },
}

impl fmt::Display for TextError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextError::InvalidUtf8 { offset } => {
                write!(
                    formatter,
                    "no UTF-8 at byte {offset}: convert the text, or take what is wrong as U+FFFD (lossy)"
                )
            }
            TextError::InvalidLine { line } => write!(formatter, "line {line} is no UTF-8: take the lines as bytes"),
            TextError::LineTooLong { line, limit } => {
                write!(formatter, "line {line} is longer than {limit} bytes: allow longer ones, or is this no text?")
            }
            TextError::Malformed { line, why } => write!(formatter, "line {line}: {why}"),
        }
    }
}

impl std::error::Error for TextError {}
