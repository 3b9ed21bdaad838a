//! [`MemoryFile`] and [`Lent`]: bytes that one process lays down and another looks at where they lie.
//!
//! ```text
//!   owner                       sealed memory file, as long as it may ever get            a process that trusts the owner
//!   MemoryFile ── write_at ──►  │ region │ free │ region │ nothing yet …        │ ◄── Lent ── lend ──► LentRegion ─► LentBytes
//!        ▲                                                                                                  │ the last one
//!        └──────────────────────── the region is free again (a message, a ring: not our business) ◄─────────┘ is dropped
//! ```
//!
//! The length of the file is fixed, so nothing ever moves and no mapping has to grow; pages exist only where something was
//! written. Pages that were used once stay, so the next bytes find them warm.
//!
//! Errors: [`Error::System`], [`Error::OutOfBounds`], [`Error::Refused`], [`Error::TooLarge`].

mod file;
mod lent;

pub use file::MemoryFile;
pub use lent::{Lent, LentBytes, LentRegion};

use crate::Error;

/// The end of `len` bytes at `offset`, if they lie within `limit`.
fn end_within(offset: u64, len: usize, limit: u64) -> Result<u64, Error> {
    offset.checked_add(len as u64).filter(|end| *end <= limit).ok_or(Error::OutOfBounds {
        index: usize::try_from(offset).unwrap_or(usize::MAX),
        count: len,
        len: limit as usize,
    })
}
