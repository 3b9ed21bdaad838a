//! [`Parcel`]: how a [`Packed`] travels, in either direction: its body in the message if it is small, its blobs in one region of
//! a file.
//!
//! ```text
//!   message │ head │ parcel │ body, if it is small            region │ body, if it is large │ blob │ blob │ …
//!                             body = length of each blob (8 bytes), then the bytes of the value
//! ```

use std::ops::Range;

use crate::Packed;

/// Bodies up to this length travel in the message.
pub(crate) const INLINE_BODY: usize = 16 * 1024;
/// Parts of a region begin at multiples of this: a cache line.
const ALIGNMENT: u64 = 64;
const WORD: usize = size_of::<u64>();

/// Where the parts are. As another process says it, until [`Parcel::parts`] has checked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parcel {
    /// Where the region begins; meaningless if it has no bytes.
    pub(crate) region: u64,
    /// Bytes of the region; 0 if there is none.
    pub(crate) region_bytes: u64,
    /// Bytes of the body.
    pub(crate) body_bytes: u64,
    /// How many blobs.
    pub(crate) blobs: u32,
    /// Whether the body is in the region.
    pub(crate) body_in_region: bool,
}

impl Parcel {
    /// How this value would travel; `region` is still to be found, if it has bytes. `None` if there is no number for its size.
    pub(crate) fn plan(packed: &Packed) -> Option<Parcel> {
        let body_bytes = (packed.blobs.len() * WORD + packed.bytes.len()) as u64;
        let body_in_region = body_bytes > INLINE_BODY as u64;
        let mut parcel = Parcel {
            region: 0,
            region_bytes: 0,
            body_bytes,
            blobs: u32::try_from(packed.blobs.len()).ok()?,
            body_in_region,
        };
        let mut parts = parcel.layout();
        for blob in &packed.blobs {
            parts.next(blob.len() as u64)?;
        }
        parcel.region_bytes = parts.position;
        Some(parcel)
    }

    pub(crate) fn needs_region(&self) -> bool {
        self.region_bytes > 0
    }

    /// Where the blobs of these lengths lie within the region; `None` if they do not fit into it.
    pub(crate) fn parts(&self, lengths: &[u64]) -> Option<Vec<Range<u64>>> {
        let mut layout = self.layout();
        let parts = lengths.iter().map(|bytes| layout.next(*bytes)).collect::<Option<Vec<_>>>()?;
        (layout.position <= self.region_bytes).then_some(parts)
    }

    /// Bytes of the body that say how long the blobs are; `None` if the body is shorter.
    pub(crate) fn table_bytes(&self) -> Option<usize> {
        let bytes = self.blobs as usize * WORD;
        (bytes as u64 <= self.body_bytes).then_some(bytes)
    }

    pub(crate) fn write(&self, message: &mut Vec<u8>) {
        message.extend_from_slice(&self.region.to_ne_bytes());
        message.extend_from_slice(&self.region_bytes.to_ne_bytes());
        message.extend_from_slice(&self.body_bytes.to_ne_bytes());
        message.extend_from_slice(&self.blobs.to_ne_bytes());
        message.extend_from_slice(&u32::from(self.body_in_region).to_ne_bytes());
    }

    fn layout(&self) -> Layout {
        let body = if self.body_in_region { self.body_bytes } else { 0 };
        Layout { position: body }
    }
}

/// Finds the places of parts, one after the other.
struct Layout {
    position: u64,
}

impl Layout {
    fn next(&mut self, bytes: u64) -> Option<Range<u64>> {
        let start = self.position.checked_next_multiple_of(ALIGNMENT)?;
        self.position = start.checked_add(bytes)?;
        Some(start..self.position)
    }
}

/// The first part of the body: the length of each blob.
pub(crate) fn write_table(packed: &Packed, into: &mut Vec<u8>) {
    for blob in &packed.blobs {
        into.extend_from_slice(&(blob.len() as u64).to_ne_bytes());
    }
}

/// The table again.
pub(crate) fn read_table(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<WORD>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}

#[cfg(test)]
mod tests {
    use phalanx_shared::Blob;

    use super::*;

    #[test]
    fn small_values_need_no_region_and_large_parts_lie_side_by_side() {
        let small = Packed { bytes: vec![1; INLINE_BODY], blobs: vec![] };
        let parcel = Parcel::plan(&small).unwrap();
        assert_eq!((parcel.needs_region(), parcel.body_in_region), (false, false));

        let large =
            Packed { bytes: vec![1; INLINE_BODY + 1], blobs: vec![Blob::from(vec![2; 100]), Blob::from(vec![])] };
        let parcel = Parcel::plan(&large).unwrap();
        let body = (INLINE_BODY + 1 + 16) as u64;
        let first = body.next_multiple_of(64);
        assert_eq!((parcel.body_bytes, parcel.region_bytes), (body, first + 128));
        assert_eq!(parcel.parts(&[100, 0]), Some(vec![first..first + 100, first + 128..first + 128]));
    }

    #[test]
    fn lengths_that_do_not_fit_are_none() {
        let parcel = Parcel { region: 0, region_bytes: 100, body_bytes: 16, blobs: 2, body_in_region: false };
        assert_eq!(parcel.parts(&[64, 36]), Some(vec![0..64, 64..100]));
        for lengths in [[64, 37], [u64::MAX, 1], [1, u64::MAX], [u64::MAX, u64::MAX]] {
            assert_eq!(parcel.parts(&lengths), None, "{lengths:?}");
        }
        assert_eq!(Parcel { blobs: 3, ..parcel }.table_bytes(), None);
    }
}
