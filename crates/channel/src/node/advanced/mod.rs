//! The serialization `advanced`, apart from any socket: V8's structured clone behind a length.
//!
//! ```text
//!   0              4
//!   │ length (big) │ FF 0F │ one value: a letter for its kind, then its content │
//! ```
//!
//! ```
//! use phalanx_channel::node::{Value, advanced};
//!
//! let mut bytes = Vec::new();
//! advanced::frame(&advanced::encode(&Value::Undefined)?, &mut bytes)?;
//! assert_eq!(bytes, [0, 0, 0, 3, 0xFF, 0x0F, b'_']);
//!
//! let mut decoder = advanced::Decoder::new(1024);
//! decoder.push(&bytes[..5]);
//! assert_eq!(decoder.take()?, None); // the rest has not come yet
//! decoder.push(&bytes[5..]);
//! assert_eq!(decoder.take()?, Some(Value::Undefined));
//! # Ok::<(), phalanx_channel::node::Error>(())
//! ```
//!
//! A message that is none is an [`Error::Malformed`], and the next one is read as if nothing had been. A length beyond the
//! limit is [`Error::TooLarge`] from then on. No length inside a message reserves memory: it is compared with the bytes
//! that are there. A message of many tiny values needs up to 32 times its size as a tree.

mod content;
mod read;
mod tag;
mod write;

pub use read::decode;
pub use write::encode;
pub(super) use write::encode_part;

use super::unread::Unread;
use super::{Error, Value};

/// Bytes of the length in front of every message.
pub(super) const LENGTH_BYTES: usize = 4;
/// Longest message: some Node versions read the length as a signed number.
const MAX_LENGTH: usize = i32::MAX as usize;

/// Takes messages out of bytes that come in any pieces.
#[derive(Debug)]
pub struct Decoder {
    unread: Unread,
    limit: usize,
    /// The length that was too large.
    failed: Option<usize>,
}

impl Decoder {
    /// A decoder of messages of at most `largest_message` bytes, their length not counted.
    pub fn new(largest_message: usize) -> Decoder {
        Decoder { unread: Unread::default(), limit: largest_message.min(MAX_LENGTH), failed: None }
    }

    /// Takes note of the next bytes. Take all messages out before the next ones, so that no more than one message and one
    /// piece is kept.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.unread.push(bytes);
        }
    }

    /// The next message; nothing if more bytes are needed.
    pub fn take(&mut self) -> Result<Option<Value>, Error> {
        self.take_frame()?.map(decode).transpose()
    }

    /// The bytes of the next message, without its length.
    pub(super) fn take_frame(&mut self) -> Result<Option<&[u8]>, Error> {
        if let Some(bytes) = self.failed {
            return Err(Error::TooLarge { bytes, limit: self.limit });
        }
        let Some((length, rest)) = self.unread.rest().split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > self.limit {
            self.failed = Some(length);
            self.unread.clear();
            return Err(Error::TooLarge { bytes: length, limit: self.limit });
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.unread.take(LENGTH_BYTES);
        Ok(Some(self.unread.take(length)))
    }
}

/// Appends the message with its length to `bytes`.
///
/// Errors: [`Error::TooLarge`] beyond 2 GiB.
pub fn frame(message: &[u8], bytes: &mut Vec<u8>) -> Result<(), Error> {
    let length = u32::try_from(message.len()).ok().filter(|&length| length as usize <= MAX_LENGTH);
    let length = length.ok_or(Error::TooLarge { bytes: message.len(), limit: MAX_LENGTH })?;
    bytes.reserve(LENGTH_BYTES + message.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message);
    Ok(())
}

#[cfg(test)]
mod tests;
