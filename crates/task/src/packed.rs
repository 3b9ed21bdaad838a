//! [`Packed`]: a value on its way to another process: its bytes, and the large blobs beside them.

use std::fmt;

use phalanx_shared::{Blob, aside};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A serialised value. Blobs of more than [`Packed::INLINE_BYTES`] are not among its bytes but beside them, in the order in which
/// they were met.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packed {
    /// The value in postcard's format.
    pub bytes: Vec<u8>,
    /// Blobs that are not among the bytes.
    pub blobs: Vec<Blob>,
}

/// A value could not be packed or unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackError(String);

impl Packed {
    /// Blobs up to this length travel among the bytes.
    pub const INLINE_BYTES: usize = 4096;

    /// Packs a value.
    pub fn of<T: Serialize>(value: &T) -> Result<Packed, PackError> {
        let (bytes, blobs) = aside::put(Packed::INLINE_BYTES, || postcard::to_stdvec(value));
        Ok(Packed { bytes: bytes.map_err(|error| PackError(error.to_string()))?, blobs })
    }

    /// The value again. Errors when the bytes are not that of a `T`, or a blob is missing.
    pub fn unpack<T: DeserializeOwned>(self) -> Result<T, PackError> {
        let Packed { bytes, blobs } = self;
        aside::take(blobs, || postcard::from_bytes(&bytes)).map_err(|error| PackError(error.to_string()))
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.blobs.iter().map(Blob::len).sum::<usize>()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value cannot be packed or unpacked: {}", self.0)
    }
}

impl std::error::Error for PackError {}
