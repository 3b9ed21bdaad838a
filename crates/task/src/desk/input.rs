//! [`Room`]: a place for an input in the file of a desk. Large inputs are copied there without holding any lock.

use std::sync::Arc;

use phalanx_shared::MemoryFile;

use super::DeskError;
use super::parcel::{Parcel, write_table};
use crate::Packed;

/// A place for one input at one desk: [`fill`](Room::fill) it, then [offer](super::Desk::offer_filled) the job, or
/// [give it up](super::Desk::give_up).
#[derive(Debug)]
#[must_use = "a room that is neither offered nor given up is lost until the process ends"]
pub struct Room {
    /// The file, if there is anything to write to it.
    pub(super) file: Option<Arc<MemoryFile>>,
    /// Number of the desk, so that no room is used at another one.
    pub(super) desk: u64,
    pub(super) parcel: Parcel,
}

impl Room {
    /// Whether [`fill`](Room::fill) has something to do.
    pub fn is_to_fill(&self) -> bool {
        self.file.is_some()
    }

    /// Copies the large parts of the input, the same for which the room was made, to their place: 0.3 ms for 1 MiB.
    pub fn fill(&self, input: &Packed) -> Result<(), DeskError> {
        let Some(file) = &self.file else { return Ok(()) };
        let lengths: Vec<u64> = input.blobs.iter().map(|blob| blob.len() as u64).collect();
        let parts = self.parcel.parts(&lengths).filter(|_| lengths.len() == self.parcel.blobs as usize);
        let parts = parts.ok_or(DeskError::TooBig { bytes: input.len() as u64, limit: self.parcel.region_bytes })?;
        let start = self.parcel.region;
        if self.parcel.body_in_region {
            let mut table = Vec::with_capacity(lengths.len() * size_of::<u64>());
            write_table(input, &mut table);
            file.write_at(&table, start).map_err(DeskError::of_ring)?;
            file.write_at(&input.bytes, start + table.len() as u64).map_err(DeskError::of_ring)?;
        }
        for (part, blob) in parts.iter().zip(&input.blobs) {
            file.write_at(blob, start + part.start).map_err(DeskError::of_ring)?;
        }
        Ok(())
    }
}
