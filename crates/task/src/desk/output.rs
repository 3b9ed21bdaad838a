//! [`Output`]: what a task gave back, of which large parts still lie in the file that its process wrote them to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use phalanx_shared::{Blob, MemoryFile};

use super::board::{Board, OUTPUTS};
use super::parcel::{Parcel, read_table};
use super::regions::Cold;
use super::{Malformed, malformed};
use crate::Packed;

/// The file that a job process writes its outputs to, as the owner sees it: never mapped, read within bounds.
#[derive(Debug)]
pub(super) struct OutputFile {
    pub(super) file: MemoryFile,
    board: Arc<Board>,
    /// Bytes of one output that are taken.
    max_output: u64,
    /// A bit for each output that was announced and not read.
    announced: AtomicU32,
}

/// An output: [`read`](Output::read) it, best without holding a lock: copying megabytes takes milliseconds.
#[derive(Debug)]
pub struct Output {
    parcel: Parcel,
    /// The body, if it came in the message.
    body: Vec<u8>,
    lying: Option<Lying>,
}

/// An output lies in the file, and its place there is free again when this is dropped.
#[derive(Debug)]
struct Lying {
    file: Arc<OutputFile>,
    number: usize,
    parcel: Parcel,
}

impl OutputFile {
    pub(super) fn new(file: MemoryFile, board: Arc<Board>, max_output: u64) -> OutputFile {
        OutputFile { file, board, max_output, announced: AtomicU32::new(0) }
    }

    /// The output number `number`, as a job process has announced it, with what came in its message.
    pub(super) fn announce(self: &Arc<Self>, number: u8, parcel: Parcel, body: &[u8]) -> Result<Output, Malformed> {
        let number = usize::from(number);
        let lying = if parcel.needs_region() {
            let is_within = parcel.region.checked_add(parcel.region_bytes).is_some_and(|end| end <= self.file.len());
            if !is_within || number >= OUTPUTS {
                return Err(malformed(format_args!("an output lies beyond its file: {parcel:?}")));
            }
            if self.announced.fetch_or(1 << number, Ordering::AcqRel) & (1 << number) != 0 {
                return Err(malformed("two outputs lie in one place"));
            }
            Some(Lying { file: self.clone(), number, parcel })
        } else {
            None
        };
        let expected = if parcel.body_in_region { 0 } else { parcel.body_bytes };
        if body.len() as u64 != expected || (parcel.body_in_region && parcel.body_bytes > parcel.region_bytes) {
            return Err(malformed(format_args!("{} bytes came with an output: {parcel:?}", body.len())));
        }
        // A blob that is not among the bytes is larger than those that are: nobody makes us keep count of millions.
        let is_plausible = u64::from(parcel.blobs) * Packed::INLINE_BYTES as u64 <= parcel.region_bytes;
        if parcel.body_bytes > self.file.len() || parcel.table_bytes().is_none() || !is_plausible {
            return Err(malformed(format_args!("an output is too large: {parcel:?}")));
        }
        Ok(Output { parcel, body: body.to_vec(), lying })
    }
}

impl Output {
    /// Bytes, about.
    pub fn len(&self) -> u64 {
        self.body.len() as u64 + self.parcel.region_bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies it into memory of our own. Cheap if it is small; what the job process changes later is not seen.
    pub fn read(self) -> Result<Packed, Malformed> {
        let Output { parcel, mut body, lying } = self;
        let Some(lying) = lying else {
            return Ok(Packed { bytes: body, blobs: Vec::new() });
        };
        let file = &lying.file.file;
        let table_bytes = parcel.table_bytes().unwrap_or_default();
        let (lengths, bytes) = if parcel.body_in_region {
            let table = read_table(&file.read_at(parcel.region, table_bytes)?);
            let rest = usize::try_from(parcel.body_bytes).unwrap_or(usize::MAX) - table_bytes;
            (table, file.read_at(parcel.region + table_bytes as u64, rest)?)
        } else {
            let table = read_table(&body[..table_bytes]);
            body.drain(..table_bytes);
            (table, body)
        };
        let total = lengths.iter().try_fold(bytes.len() as u64, |sum, len| sum.checked_add(*len));
        let parts = parcel.parts(&lengths).filter(|_| total.is_some_and(|total| total <= lying.file.max_output));
        let Some(parts) = parts else {
            return Err(malformed(format_args!("the parts of an output are larger than it: {parcel:?}")));
        };
        let mut blobs = Vec::with_capacity(parts.len());
        for part in parts {
            blobs.push(Blob::from(file.read_at(parcel.region + part.start, (part.end - part.start) as usize)?));
        }
        Ok(Packed { bytes, blobs })
    }
}

impl Drop for Lying {
    fn drop(&mut self) {
        let Parcel { region, region_bytes, .. } = self.parcel;
        if let Some(cold) = Cold::part_of(region, region + region_bytes) {
            // Memory that stays until the process ends is all that a refusal means.
            let _ = self.file.file.forget(cold.offset, cold.bytes);
        }
        // Before the job process may use it again, so that its next announcement finds the bit down.
        self.file.announced.fetch_and(!(1 << self.number), Ordering::AcqRel);
        self.file.board.return_output(self.number);
    }
}
