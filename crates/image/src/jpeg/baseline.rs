//! Sequential scans: each block goes straight from its bits to samples.

use super::bits::BitReader;
use super::decode::{Input, Restarts};
use super::huffman::{HuffmanTable, Symbol};
use super::idct::{POSITION, Transformer, last_needed};
use super::plane::Plane;
use super::scan::ScanPlace;
use super::tables::Tables;
use crate::Error;

/// Source pixels from which on the table for passing over coefficients pays for itself.
const PASSING_PAYS_FROM_PIXELS: u32 = 500_000;

/// What one component needs within a scan.
struct Part<'a> {
    dc: &'a HuffmanTable,
    ac: &'a HuffmanTable,
    transformer: &'a Transformer,
    plane: usize,
    /// Blocks of one unit.
    across: usize,
    down: usize,
    scale: usize,
    last_needed: u32,
    predictor: i32,
}

/// Decodes one scan into the planes.
pub(super) fn decode_scan(
    input: &Input<'_>,
    place: &ScanPlace,
    tables: &mut Tables,
    transformers: &[Option<Transformer>; 4],
    scales: &[u32; 4],
    planes: &mut [Plane],
) -> Result<(), Error> {
    let frame = input.frame;
    if frame.width * frame.height >= PASSING_PAYS_FROM_PIXELS {
        for part in place.scan.parts().iter().filter(|part| scales[part.component] < 8) {
            tables.make_passing(part.ac_table);
        }
    }
    let alone = place.scan.parts().len() == 1;
    let mut parts = Vec::with_capacity(4);
    for part in place.scan.parts() {
        let component = &frame.components()[part.component];
        let (across, down) = if alone { (1, 1) } else { (component.across as usize, component.down as usize) };
        parts.push(Part {
            dc: tables.dc(part.dc_table)?,
            ac: tables.ac(part.ac_table)?,
            transformer: transformers[part.component]
                .as_ref()
                .ok_or_else(|| Error::damaged("a JPEG component without its quantisation table"))?,
            plane: part.component,
            across,
            down,
            scale: scales[part.component] as usize,
            last_needed: last_needed(scales[part.component]),
            predictor: 0,
        });
    }
    let (units_across, units_down) = match parts.as_slice() {
        [only] => frame.real_blocks(&frame.components()[only.plane]),
        _ => frame.units(),
    };
    let mut bits = BitReader::new(input.data(place));
    let mut restarts = Restarts::new(tables.restart_interval);
    for row in 0..units_down as usize {
        input.stop_if_cancelled()?;
        for column in 0..units_across as usize {
            if restarts.before_unit(&mut bits)? {
                parts.iter_mut().for_each(|part| part.predictor = 0);
            }
            for part in &mut parts {
                let plane = &mut planes[part.plane];
                for y in 0..part.down {
                    for x in 0..part.across {
                        let mut block = [0i16; 64];
                        let dc_only = read_block(&mut bits, part, &mut block)?;
                        let (top, left) = ((row * part.down + y) * part.scale, (column * part.across + x) * part.scale);
                        let start = top * plane.stride + left;
                        let out = plane.samples.get_mut(start..).unwrap_or_default();
                        part.transformer.block(&block, dc_only, out, plane.stride);
                    }
                }
            }
        }
        if bits.is_broken() {
            return Err(broken());
        }
    }
    Ok(())
}

/// The error for entropy-coded data that ends early or makes no sense.
pub(super) fn broken() -> Error {
    Error::damaged("JPEG picture data is missing or invalid")
}

/// Reads one block; gives whether nothing but its mean is set.
#[inline(always)]
fn read_block(bits: &mut BitReader<'_>, part: &mut Part<'_>, block: &mut [i16; 64]) -> Result<bool, Error> {
    let difference = match part.dc.next(bits) {
        Symbol::Coefficient { value, .. } => i32::from(value),
        Symbol::Raw(size) => bits.extend(u32::from(size & 15)),
    };
    part.predictor = part.predictor.wrapping_add(difference);
    block[0] = part.predictor as i16;
    let mut index = 1u32;
    let mut dc_only = true;
    while index <= part.last_needed {
        let (run, value) = match part.ac.next(bits) {
            Symbol::Coefficient { run, value } => (run, value),
            Symbol::Raw(0xF0) => {
                index += 16;
                continue;
            }
            Symbol::Raw(raw) if raw & 15 == 0 => return Ok(dc_only),
            Symbol::Raw(raw) => (u32::from(raw >> 4), bits.extend(u32::from(raw & 15)) as i16),
        };
        index += run;
        block[usize::from(POSITION[(index & 127) as usize]) & 63] = value;
        dc_only = false;
        index += 1;
    }
    if index < 64 {
        index = part.ac.pass_over(bits, index);
    }
    if index > 64 {
        return Err(broken());
    }
    Ok(dc_only)
}
