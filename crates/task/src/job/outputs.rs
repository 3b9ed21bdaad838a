//! [`Outputs`]: where a job process lays what is too large for a message.

use std::sync::Arc;
use std::time::Duration;

use phalanx_shared::MemoryFile;

use super::Broken;
use super::voice::Voice;
use crate::desk::protocol::{NO_OUTPUT, Parcel, Regions, write_table};
use crate::desk::{Board, OUTPUTS};
use crate::{Packed, Refusal, TaskError};

/// How long to wait before looking whether the owner has read something. It reads as soon as it can, so this is rare.
const NAP: Duration = Duration::from_micros(200);
/// Naps before looking whether the owner still lives: a second.
const NAPS: u32 = 5_000;

/// The output file.
#[derive(Debug)]
pub(super) struct Outputs {
    file: MemoryFile,
    regions: Regions,
    /// Where the outputs lie that the owner has not read, as far as we know.
    lying: [Option<u64>; OUTPUTS],
    max_output: u64,
}

/// Why an output was not laid down.
pub(super) enum NotLaid {
    /// The task ends with this.
    Refused(TaskError),
    /// The process cannot go on.
    Broken(Broken),
}

impl Outputs {
    pub(super) fn new(file: MemoryFile, max_output: u64) -> Outputs {
        let regions = Regions::new(file.len());
        Outputs { file, regions, lying: [None; OUTPUTS], max_output }
    }

    /// Lays the large parts down: how the output travels, and the number of its place.
    pub(super) fn lay(&mut self, output: &Packed, board: &Board, voice: &Arc<Voice>) -> Result<(Parcel, u8), NotLaid> {
        let bytes = output.len() as u64;
        let too_big = || NotLaid::Refused(Refusal::TooBig { bytes, limit: self.max_output }.into());
        let mut parcel = Parcel::plan(output).filter(|_| bytes <= self.max_output).ok_or_else(too_big)?;
        if !parcel.needs_region() {
            return Ok((parcel, NO_OUTPUT));
        }
        if parcel.region_bytes > self.file.len() {
            return Err(too_big());
        }
        let (number, region) = self.room(parcel.region_bytes, board, voice)?;
        parcel.region = region;
        self.write(output, &parcel).map_err(|error| {
            // A task has tampered with the file, or there is no memory for it: the next one would fare no better.
            NotLaid::Broken(Broken::of(format_args!("an output cannot be handed over: {error}")))
        })?;
        board.lay_output(number);
        Ok((parcel, number as u8))
    }

    fn write(&self, output: &Packed, parcel: &Parcel) -> Result<(), phalanx_shared::Error> {
        if parcel.body_in_region {
            let mut table = Vec::new();
            write_table(output, &mut table);
            self.file.write_at(&table, parcel.region)?;
            self.file.write_at(&output.bytes, parcel.region + table.len() as u64)?;
        }
        let lengths: Vec<u64> = output.blobs.iter().map(|blob| blob.len() as u64).collect();
        for (part, blob) in parcel.parts(&lengths).unwrap_or_default().iter().zip(&output.blobs) {
            self.file.write_at(blob, parcel.region + part.start)?;
        }
        Ok(())
    }

    /// Waits for a free number and region, as long as the owner lives.
    fn room(&mut self, bytes: u64, board: &Board, voice: &Arc<Voice>) -> Result<(usize, u64), NotLaid> {
        let mut naps = 0;
        loop {
            for number in 0..OUTPUTS {
                if board.is_output_free(number) {
                    self.free(number);
                }
            }
            let number = self.lying.iter().position(Option::is_none);
            if let Some((number, region)) = number.and_then(|number| Some((number, self.regions.take(bytes)?))) {
                self.lying[number] = Some(region);
                return Ok((number, region));
            }
            std::thread::sleep(NAP);
            naps += 1;
            if naps % NAPS == 0 {
                voice.check_owner().map_err(NotLaid::Broken)?;
            }
        }
    }

    fn free(&mut self, number: usize) {
        if let Some(region) = self.lying[number].take() {
            // The owner gives the memory back.
            let _ = self.regions.give_back(region);
        }
    }
}
