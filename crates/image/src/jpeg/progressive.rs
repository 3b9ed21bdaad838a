//! Progressive scans. Of every block only the low N × N coefficients that the scale needs are kept, and one bit for each of the 64 that
//! tells whether it is not zero: that is all that refinement scans ask for. Scans that bring nothing for the scale are not read at all.

use super::baseline::broken;
use super::bits::BitReader;
use super::decode::{Input, Restarts};
use super::huffman::Symbol;
use super::idct::{POSITION, Transformer, needed_set};
use super::plane::Plane;
use super::scan::{Scan, ScanPlace};
use super::segments::{Component, Frame};
use super::tables::Tables;
use crate::Error;

/// The mark of a coefficient that is not kept.
const NOT_KEPT: u8 = u8::MAX;

/// The coefficients of one component.
pub(super) struct Store {
    scale: usize,
    /// Blocks of a padded row.
    across: usize,
    down: usize,
    /// Where the k-th coefficient is kept within its block.
    slots: [u8; 64],
    /// `scale²` coefficients a block.
    kept: Vec<i16>,
    /// One bit for each coefficient of a block; empty when no AC coefficient is needed.
    nonzero: Vec<u64>,
    pub(super) has_dc: bool,
}

impl Store {
    pub(super) fn new(frame: &Frame, component: &Component, scale: u32) -> Self {
        let (across, down) = frame.padded_blocks(component);
        let blocks = across as usize * down as usize;
        let side = scale as usize;
        let mut slots = [NOT_KEPT; 64];
        for (slot, position) in slots.iter_mut().zip(POSITION) {
            let (column, row) = (usize::from(position) / 8, usize::from(position) % 8);
            if column < side && row < side {
                *slot = (column * side + row) as u8;
            }
        }
        Self {
            scale: side,
            across: across as usize,
            down: down as usize,
            slots,
            kept: vec![0; blocks * side * side],
            nonzero: if scale > 1 { vec![0; blocks] } else { Vec::new() },
            has_dc: false,
        }
    }

    /// Writes all samples.
    pub(super) fn render(&self, input: &Input<'_>, transformer: &Transformer, plane: &mut Plane) -> Result<(), Error> {
        let area = self.scale * self.scale;
        for row in 0..self.down {
            input.stop_if_cancelled()?;
            for column in 0..self.across {
                let index = row * self.across + column;
                let mut block = [0i16; 64];
                let Some(kept) = self.kept.get(index * area..(index + 1) * area) else { return Err(broken()) };
                for (line, values) in block.chunks_exact_mut(8).zip(kept.chunks_exact(self.scale)) {
                    line[..self.scale].copy_from_slice(values);
                }
                let dc_only = self.nonzero.get(index).is_none_or(|&set| set & !1 == 0);
                let start = row * self.scale * plane.stride + column * self.scale;
                let out = plane.samples.get_mut(start..).unwrap_or_default();
                if dc_only {
                    transformer.mean(block[0], out, plane.stride);
                } else {
                    transformer.block::<[f32; 4], [f32; 8]>(&block, out, plane.stride);
                }
            }
        }
        Ok(())
    }
}

/// Which scans must be read for these scales: those that hold a needed coefficient, and those whose history a needed refinement asks for.
pub(super) fn needed_scans(places: &[ScanPlace], scales: &[u32; 4]) -> Vec<bool> {
    let mut wanted = [0u64; 4];
    for (set, &scale) in wanted.iter_mut().zip(scales) {
        *set = needed_set(scale);
    }
    let mut needed = vec![false; places.len()];
    for (flag, place) in needed.iter_mut().zip(places).rev() {
        let scan = &place.scan;
        let band = (u64::MAX >> (63 - (scan.last & 63))) & (u64::MAX << (scan.first & 63));
        for part in scan.parts() {
            if wanted[part.component] & band != 0 {
                *flag = true;
                if scan.high > 0 {
                    wanted[part.component] |= band;
                }
            }
        }
    }
    needed
}

/// Decodes one scan into the stores.
pub(super) fn decode_scan(
    input: &Input<'_>,
    place: &ScanPlace,
    tables: &Tables,
    stores: &mut [Store],
) -> Result<(), Error> {
    let mut bits = BitReader::new(input.data(place));
    let restarts = Restarts::new(tables.restart_interval);
    if place.scan.first == 0 {
        decode_dc(input, &mut bits, restarts, &place.scan, tables, stores)
    } else {
        decode_ac(input, &mut bits, restarts, &place.scan, tables, stores)
    }
}

fn decode_dc(
    input: &Input<'_>,
    bits: &mut BitReader<'_>,
    mut restarts: Restarts,
    scan: &Scan,
    tables: &Tables,
    stores: &mut [Store],
) -> Result<(), Error> {
    let frame = input.frame;
    let mut predictors = [0i32; 4];
    let alone = scan.parts().len() == 1;
    let (units_across, units_down) = match scan.parts() {
        [only] => frame.real_blocks(&frame.components()[only.component]),
        _ => frame.units(),
    };
    for row in 0..units_down as usize {
        input.stop_if_cancelled()?;
        for column in 0..units_across as usize {
            if restarts.before_unit(bits)? {
                predictors = [0; 4];
            }
            for part in scan.parts() {
                let component = &frame.components()[part.component];
                let (across, down) = if alone { (1, 1) } else { (component.across as usize, component.down as usize) };
                let store = &mut stores[part.component];
                store.has_dc = true;
                for y in 0..down {
                    for x in 0..across {
                        let index = (row * down + y) * store.across + column * across + x;
                        let Some(dc) = store.kept.get_mut(index * store.scale * store.scale) else {
                            return Err(broken());
                        };
                        if scan.high > 0 {
                            *dc |= i16::from(bits.bit()) << scan.low;
                            continue;
                        }
                        let difference = match tables.dc(part.dc_table)?.next(bits) {
                            Symbol::Coefficient { value, .. } => i32::from(value),
                            Symbol::Raw(size) => bits.extend(u32::from(size & 15)),
                        };
                        let predictor = &mut predictors[part.component];
                        *predictor = predictor.wrapping_add(difference);
                        *dc = (*predictor << scan.low) as i16;
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

/// One block of a store during an AC scan.
struct Block<'a> {
    kept: &'a mut [i16],
    nonzero: &'a mut u64,
    slots: &'a [u8; 64],
}

impl Block<'_> {
    #[inline(always)]
    fn set(&mut self, index: u32, value: i16) {
        *self.nonzero |= 1 << (index & 63);
        if let Some(kept) = self.kept.get_mut(usize::from(self.slots[(index & 63) as usize])) {
            *kept = value;
        }
    }

    /// Adds the refinement bit to coefficient `index`, away from zero.
    #[inline(always)]
    fn refine(&mut self, index: u32, bit: i16) {
        if let Some(kept) = self.kept.get_mut(usize::from(self.slots[(index & 63) as usize]))
            && *kept & bit == 0
        {
            *kept = kept.wrapping_add(if *kept >= 0 { bit } else { -bit });
        }
    }
}

fn decode_ac(
    input: &Input<'_>,
    bits: &mut BitReader<'_>,
    mut restarts: Restarts,
    scan: &Scan,
    tables: &Tables,
    stores: &mut [Store],
) -> Result<(), Error> {
    let frame = input.frame;
    let [part] = scan.parts() else { return Err(broken()) };
    let (across, down) = frame.real_blocks(&frame.components()[part.component]);
    let store = &mut stores[part.component];
    let area = store.scale * store.scale;
    let table = tables.ac(part.ac_table)?;
    let mut end_run = 0u32;
    for row in 0..down as usize {
        input.stop_if_cancelled()?;
        let first = row * store.across;
        let (Some(kept), Some(nonzero)) = (
            store.kept.get_mut(first * area..(first + across as usize) * area),
            store.nonzero.get_mut(first..first + across as usize),
        ) else {
            return Err(broken());
        };
        for (kept, nonzero) in kept.chunks_exact_mut(area).zip(nonzero) {
            if restarts.before_unit(bits)? {
                end_run = 0;
            }
            let mut block = Block { kept, nonzero, slots: &store.slots };
            if scan.high > 0 {
                refine_block(bits, table, scan, &mut block, &mut end_run)?;
            } else if end_run > 0 {
                end_run -= 1;
            } else {
                first_block(bits, table, scan, &mut block, &mut end_run)?;
            }
        }
        if bits.is_broken() {
            return Err(broken());
        }
    }
    Ok(())
}

/// The first scan of a band.
#[inline(always)]
fn first_block(
    bits: &mut BitReader<'_>,
    table: &super::huffman::HuffmanTable,
    scan: &Scan,
    block: &mut Block<'_>,
    end_run: &mut u32,
) -> Result<(), Error> {
    let mut index = scan.first;
    while index <= scan.last {
        let (run, value) = match table.next(bits) {
            Symbol::Coefficient { run, value } => (run, value),
            Symbol::Raw(0xF0) => {
                index += 16;
                continue;
            }
            Symbol::Raw(raw) if raw & 15 == 0 => {
                let size = u32::from(raw >> 4);
                *end_run = (1 << size) - 1 + bits.bits(size);
                return Ok(());
            }
            Symbol::Raw(raw) => (u32::from(raw >> 4), bits.extend(u32::from(raw & 15)) as i16),
        };
        index += run;
        if index > scan.last {
            return Err(broken());
        }
        block.set(index, value << scan.low);
        index += 1;
    }
    Ok(())
}

/// A later scan of a band: one more bit for what is not zero, and what becomes so.
#[inline(always)]
fn refine_block(
    bits: &mut BitReader<'_>,
    table: &super::huffman::HuffmanTable,
    scan: &Scan,
    block: &mut Block<'_>,
    end_run: &mut u32,
) -> Result<(), Error> {
    let bit = 1i16 << scan.low;
    let mut index = scan.first;
    if *end_run == 0 {
        while index <= scan.last {
            let (mut zeros, fresh) = match table.next(bits) {
                Symbol::Coefficient { run, value: 1 } => (run, Some(bit)),
                Symbol::Coefficient { run, value: -1 } => (run, Some(-bit)),
                Symbol::Raw(0xF0) => (15, None),
                Symbol::Raw(raw) if raw & 15 == 0 => {
                    let size = u32::from(raw >> 4);
                    *end_run = (1 << size) + bits.bits(size);
                    break;
                }
                Symbol::Raw(raw) if raw & 15 == 1 => (u32::from(raw >> 4), Some(if bits.bit() { bit } else { -bit })),
                _ => return Err(broken()),
            };
            while index <= scan.last {
                if *block.nonzero >> (index & 63) & 1 != 0 {
                    if bits.bit() {
                        block.refine(index, bit);
                    }
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                index += 1;
            }
            if let Some(value) = fresh {
                if index > scan.last {
                    return Err(broken());
                }
                block.set(index, value);
            }
            index += 1;
        }
    }
    if *end_run > 0 {
        *end_run -= 1;
        if index <= scan.last {
            let band = (u64::MAX >> (63 - scan.last)) & (u64::MAX << index);
            let mut rest = *block.nonzero & band;
            while rest != 0 {
                if bits.bit() {
                    block.refine(rest.trailing_zeros(), bit);
                }
                rest &= rest - 1;
            }
        }
    }
    Ok(())
}
