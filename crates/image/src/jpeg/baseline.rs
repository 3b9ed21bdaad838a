//! Sequential scans: each block goes straight from its bits to samples.
//!
//! The bits are a chain of dependent look-ups that leaves most of a core idle; the transform of the block before runs in that shade. So
//! both stand in one loop ([`ScanDecoder::decode_units`]), which [`super::simd`] compiles for what the machine has.

use std::ops::Range;

use super::bits::{Ahead, BitReader, Cursor};
use super::damage::{BROKEN_DATA, Faults};
use super::decode::Input;
use super::huffman::{BlockEnd, Coefficients, HuffmanTable};
use super::idct::{Lanes, POSITION, Transformer, last_needed};
use super::intervals::Interval;
use super::plane::{Lines, Plane, Strip};
use super::scan::ScanPlace;
use super::simd::Machine;
use super::tables::Tables;
use crate::Error;

/// Source pixels from which on the table for passing over coefficients pays for itself.
const PASSING_PAYS_FROM_PIXELS: u32 = 500_000;

/// What one component needs within a scan.
#[derive(Clone)]
struct Part<'a> {
    dc: &'a HuffmanTable,
    ac: &'a HuffmanTable,
    transformer: &'a Transformer,
    plane: usize,
    /// Samples from one unit to the next.
    unit_width: usize,
    /// Rows of samples of a unit.
    unit_height: usize,
    last_needed: u32,
    predictor: i32,
}

/// One block of a unit.
#[derive(Clone)]
struct Slot {
    /// Index into the parts.
    part: usize,
    /// Position in the component's plane relative to that of the unit.
    offset: usize,
}

/// Decodes the units of one scan. A clone decodes other intervals of the same scan.
#[derive(Clone)]
pub(super) struct ScanDecoder<'a> {
    parts: Vec<Part<'a>>,
    slots: Vec<Slot>,
    units_across: u32,
    bits: BitReader<'a>,
    /// Zeros, but for the block that is being read.
    block: Coefficients,
    machine: Machine,
}

impl<'a> ScanDecoder<'a> {
    /// Prepares the tables that the scan at `place` uses.
    pub(super) fn new(
        input: &Input<'_>,
        place: &ScanPlace,
        tables: &'a mut Tables,
        transformers: &'a [Option<Transformer>; 4],
        scales: &[u32; 4],
        planes: &[Plane],
    ) -> Result<Self, Error> {
        let frame = input.frame;
        for part in place.scan.parts() {
            tables.make_pairs(part.ac_table);
            if scales[part.component] < 8 && frame.width * frame.height >= PASSING_PAYS_FROM_PIXELS {
                tables.make_passing(part.ac_table);
            }
        }
        let tables = &*tables;
        let alone = place.scan.parts().len() == 1;
        let (mut parts, mut slots) = (Vec::with_capacity(4), Vec::new());
        for (index, part) in place.scan.parts().iter().enumerate() {
            let component = &frame.components()[part.component];
            let (across, down) = if alone { (1, 1) } else { (component.across as usize, component.down as usize) };
            let side = scales[part.component] as usize;
            let stride = planes.get(part.component).map_or(0, |plane| plane.stride);
            for y in 0..down {
                slots.extend((0..across).map(|x| Slot { part: index, offset: (y * stride + x) * side }));
            }
            parts.push(Part {
                dc: tables.dc(part.dc_table)?,
                ac: tables.ac(part.ac_table)?,
                transformer: transformers[part.component]
                    .as_ref()
                    .ok_or_else(|| Error::damaged("a JPEG component without its quantisation table"))?,
                plane: part.component,
                unit_width: across * side,
                unit_height: down * side,
                last_needed: last_needed(scales[part.component]),
                predictor: 0,
            });
        }
        let (units_across, _) = place.scan.units(frame);
        let (bits, block, machine) = (BitReader::new(&[]), [0; 128], Machine::detect());
        Ok(Self { parts, slots, units_across, bits, block, machine })
    }

    /// Units of a row.
    pub(super) fn units_across(&self) -> u32 {
        self.units_across
    }

    /// Rows of samples of a unit in each plane; 0 in those that the scan does not touch.
    pub(super) fn unit_heights(&self) -> [usize; 4] {
        std::array::from_fn(|plane| {
            self.parts.iter().find(|part| part.plane == plane).map_or(0, |part| part.unit_height)
        })
    }

    /// Decodes restart intervals into `strip`, which must hold their rows, and takes note of what is wrong with them.
    pub(super) fn intervals(
        &mut self,
        input: &Input<'_>,
        intervals: impl Iterator<Item = Interval<'a>>,
        strip: &mut Strip<'_>,
        faults: &mut Faults,
    ) -> Result<(), Error> {
        for interval in intervals {
            let result = self.interval(input, interval.units.clone(), interval.data, strip);
            faults.judge(&interval, result)?;
        }
        Ok(())
    }

    /// Decodes the units of one restart interval, whose bits `data` holds; gives the bytes that are left over.
    fn interval(
        &mut self,
        input: &Input<'_>,
        units: Range<u32>,
        data: &'a [u8],
        strip: &mut Strip<'_>,
    ) -> Result<usize, Error> {
        self.bits.reset(data);
        self.parts.iter_mut().for_each(|part| part.predictor = 0);
        let mut unit = units.start;
        while unit < units.end {
            input.stop_if_cancelled()?;
            let (row, column) = (unit / self.units_across, unit % self.units_across);
            let count = (self.units_across - column).min(units.end - unit);
            let mut starts = [0; 4];
            let row = row.saturating_sub(strip.first_row);
            for (start, part) in starts.iter_mut().zip(&self.parts) {
                let stride = strip.planes.get(part.plane).map_or(0, |plane| plane.stride);
                *start = row as usize * part.unit_height * stride + column as usize * part.unit_width;
            }
            self.machine.decode_units(self, &mut strip.planes, starts, count)?;
            if self.bits.is_broken() {
                return Err(broken());
            }
            unit += count;
        }
        Ok(self.bits.unread())
    }

    /// Decodes `count` units of one row; `starts` are the positions of their first samples in the planes of the parts. `F` and
    /// `E` are lanes of the machine.
    #[inline(always)]
    pub(super) fn decode_units<F: Lanes<4>, E: Lanes<8>>(
        &mut self,
        planes: &mut [Lines<'_>],
        mut starts: [usize; 4],
        count: u32,
    ) -> Result<(), Error> {
        let Self { parts, slots, bits, block, .. } = self;
        let (_, mut cursor) = bits.block();
        for _ in 0..count {
            for slot in slots.iter() {
                let (Some(part), Some(start)) = (parts.get_mut(slot.part), starts.get(slot.part)) else {
                    return Err(broken());
                };
                let end = read_block(bits.next_block(&mut cursor), &mut cursor, part, block);
                let Some(plane) = planes.get_mut(part.plane) else { return Err(broken()) };
                let out = plane.samples.get_mut(start + slot.offset..).unwrap_or_default();
                match end {
                    BlockEnd::MeanOnly => part.transformer.mean(block[0], out, plane.stride),
                    BlockEnd::Detailed => {
                        let Some(coefficients) = block.first_chunk_mut() else { return Err(broken()) };
                        part.transformer.block::<F, E>(coefficients, out, plane.stride);
                        coefficients.fill(0);
                    }
                    BlockEnd::Broken => {
                        block.fill(0);
                        return Err(broken());
                    }
                }
            }
            for (start, part) in starts.iter_mut().zip(parts.iter()) {
                *start += part.unit_width;
            }
        }
        bits.advance(cursor);
        Ok(())
    }
}

/// The error for entropy-coded data that ends early or makes no sense.
pub(super) fn broken() -> Error {
    Error::damaged(BROKEN_DATA)
}

/// Where the k-th coefficient in file order is put. Runs that point beyond the block end in the room behind it.
const PLACES: [u8; 128] = {
    let mut places = [64; 128];
    let mut k = 0;
    while k < 64 {
        places[k] = POSITION[k];
        k += 1;
    }
    places
};

/// Reads one block.
#[inline(always)]
fn read_block(ahead: &Ahead, cursor: &mut Cursor, part: &mut Part<'_>, block: &mut Coefficients) -> BlockEnd {
    let Some(difference) = part.dc.difference(ahead, cursor) else { return BlockEnd::Broken };
    part.predictor = part.predictor.wrapping_add(difference);
    block[0] = part.predictor as i16;
    part.ac.coefficients(ahead, cursor, part.last_needed, &PLACES, block)
}
