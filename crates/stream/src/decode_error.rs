//! [`DecodeError`]: why bytes are not what they should be; [`Limits`]: how much they may become; [`Allowance`]: who counts it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

#[cfg(any(feature = "gzip", feature = "zstd"))]
/// The ratio counts from so many bytes of input …
const RATIO_COUNTS_FROM_INPUT: u64 = 64 << 10;
#[cfg(any(feature = "gzip", feature = "zstd"))]
/// … or so many bytes of output: small honest inputs (a page of spaces) pass.
const RATIO_COUNTS_FROM_OUTPUT: u64 = 1 << 20;

/// Why a decoder gave up: the [`Cause`](crate::Cause) of the pipeline's error.
///
/// ```
/// use phalanx_stream::{DecodeError, Limits};
///
/// let bomb = DecodeError::TooLarge { limit: 1 << 20 };
/// assert_eq!(bomb.to_string(), "becomes larger than the limit of 1048576 bytes");
/// assert_eq!(Limits::default(), Limits { most_bytes: None, most_ratio: None });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends in the middle.
    Truncated {
        /// `gzip`, `zstd`, `age`.
        format: &'static str,
        /// Bytes of input that came.
        offset: u64,
    },
    /// The input is not of this format, or breaks its rules.
    Malformed {
        /// `gzip`, `zstd`, `age`.
        format: &'static str,
        /// Where in the input: at the place, or at the begin of the block or member with the fault.
        offset: u64,
        /// Which rule.
        what: Cow<'static, str>,
    },
    /// The content is not what the checksum was made of.
    Checksum {
        /// `gzip`, `zstd`.
        format: &'static str,
        /// Where in the input: at the place, or at the begin of the block or member with the fault.
        offset: u64,
    },
    /// It becomes larger than [`Limits::most_bytes`].
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// It becomes more times larger than [`Limits::most_ratio`].
    RatioTooHigh {
        /// Output by input.
        limit: u32,
    },
    /// None of the keys or the passphrase opens it.
    WrongKey {
        /// `age`.
        format: &'static str,
    },
    /// It was changed after it was encrypted.
    Tampered {
        /// `age`.
        format: &'static str,
        /// The first chunk that is not authentic, counted from 0.
        chunk: u64,
    },
    /// A passphrase asks for more work, and memory, than is allowed.
    TooMuchWork {
        /// `age`.
        format: &'static str,
        /// The work factor that it asks for: so many doublings of 1 KiB.
        asked: u8,
        /// The most that is allowed.
        limit: u8,
    },
}

impl DecodeError {
    /// A rule of the format is broken at this place.
    pub fn malformed(format: &'static str, offset: u64, what: impl Into<Cow<'static, str>>) -> DecodeError {
        DecodeError::Malformed { format, offset, what: what.into() }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Truncated { format, offset: 0 } => {
                write!(formatter, "the input is empty, which is not {format}")
            }
            DecodeError::Truncated { format, offset } => {
                write!(formatter, "the {format} data is truncated: it ends in the middle, after {offset} bytes")
            }
            DecodeError::Malformed { format, offset, what } => {
                write!(formatter, "not valid {format} data at byte {offset}: {what}")
            }
            DecodeError::Checksum { format, offset } => {
                write!(formatter, "the {format} data at byte {offset} is damaged: its checksum is wrong")
            }
            DecodeError::TooLarge { limit } => write!(formatter, "becomes larger than the limit of {limit} bytes"),
            DecodeError::RatioTooHigh { limit } => {
                write!(formatter, "becomes more than {limit} times larger than it came, which is the limit")
            }
            DecodeError::WrongKey { format } => write!(formatter, "no key given opens this {format} data"),
            DecodeError::Tampered { format, chunk } => {
                write!(
                    formatter,
                    "the {format} data was changed or cut short after it was encrypted: chunk {chunk} is not authentic"
                )
            }
            DecodeError::TooMuchWork { format, asked, limit } => write!(
                formatter,
                "the passphrase of this {format} data asks for 2^{asked} KiB of memory and the work to fill it; the limit is 2^{limit} KiB"
            ),
        }
    }
}

impl StdError for DecodeError {}

/// How much a decoder may give. Nothing is limited by default: memory is bounded by the marks whatever comes, so limits
/// are for who stores what comes out, or serves strangers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of output.
    pub most_bytes: Option<u64>,
    /// The most output by input, counted from 64 KiB of input or 1 MiB of output.
    pub most_ratio: Option<u32>,
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
/// Counts what a decoder takes and gives, and checks the [`Limits`].
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    limits: Limits,
    taken: u64,
    given: u64,
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
impl Allowance {
    /// With nothing counted yet.
    pub(crate) fn new(limits: Limits) -> Allowance {
        Allowance { limits, ..Allowance::default() }
    }

    /// So many bytes of input become so many bytes of output: an error if that is too many. To be called before they are
    /// passed on.
    pub(crate) fn count(&mut self, input: usize, output: usize) -> Result<(), DecodeError> {
        self.taken += input as u64;
        self.given += output as u64;
        if let Some(limit) = self.limits.most_bytes
            && self.given > limit
        {
            return Err(DecodeError::TooLarge { limit });
        }
        if let Some(limit) = self.limits.most_ratio {
            let counts = self.taken >= RATIO_COUNTS_FROM_INPUT || self.given >= RATIO_COUNTS_FROM_OUTPUT;
            if counts && self.given > self.taken.max(1).saturating_mul(limit.into()) {
                return Err(DecodeError::RatioTooHigh { limit });
            }
        }
        Ok(())
    }
}

#[cfg(all(test, any(feature = "gzip", feature = "zstd")))]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_does_not_count_for_what_is_small() {
        let mut allowance = Allowance::new(Limits { most_bytes: None, most_ratio: Some(100) });
        assert_eq!(allowance.count(100, 1 << 19), Ok(()));
        assert_eq!(allowance.count(0, 1 << 19), Err(DecodeError::RatioTooHigh { limit: 100 }));

        let mut allowance = Allowance::new(Limits { most_bytes: None, most_ratio: Some(2) });
        assert_eq!(allowance.count(64 << 10, 128 << 10), Ok(()));
        assert_eq!(allowance.count(0, 1), Err(DecodeError::RatioTooHigh { limit: 2 }));
        assert_eq!(allowance.count(1, 1), Ok(()));
    }
}
