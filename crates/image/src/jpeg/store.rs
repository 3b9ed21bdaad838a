//! The coefficients of a progressive picture between its scans. Of every block only the low N × N that the scale needs are kept, and one bit for
//! each of the 64 that tells whether it is not zero: that is all that refinement scans ask for.

use super::decode::Input;
use super::idct::{Lanes, POSITION, Transformer, needed_set};
use super::plane::Plane;
use super::segments::{Component, Frame};
use super::simd::Machine;
use crate::Error;
use crate::scratch::Buffers;

/// The mark of a coefficient that is not kept.
const NOT_KEPT: u8 = u8::MAX;

/// The bit of coefficient `index` (in file order) in a map.
#[inline(always)]
pub(super) const fn map_bit(index: u32) -> u64 {
    1 << (index & 63)
}

/// The bits of the coefficients from `first` to `last` in a map.
#[inline(always)]
pub(super) const fn band(first: u32, last: u32) -> u64 {
    (u64::MAX << (first & 63)) & (u64::MAX >> (63 - (last & 63)))
}

/// The coefficients of one component.
pub(super) struct Store {
    /// Samples of a side of a block.
    scale: usize,
    /// Coefficients of a side that are kept: as many, at most 8.
    side: usize,
    /// Blocks of a padded row.
    pub(super) across: usize,
    down: usize,
    pub(super) blocks: Blocks,
    pub(super) has_dc: bool,
}

/// The blocks, row by row.
pub(super) struct Blocks {
    /// Coefficients that are kept of a block.
    pub(super) area: usize,
    /// `area` coefficients a block.
    pub(super) kept: Vec<i16>,
    /// One bit for each coefficient of a block ([`map_bit`]); empty when no AC coefficient is needed.
    pub(super) maps: Vec<u64>,
    /// One bit for each block, 64 a word, the first lowest: whether its map is not empty. It lets a run of blocks pass at once.
    pub(super) occupied: Vec<u64>,
    /// Where the k-th coefficient is kept within its block.
    slots: [u8; 64],
    /// The coefficients that are kept, as in a map.
    pub(super) kept_set: u64,
}

/// Words of [`Blocks::occupied`] for so many blocks.
const fn occupied_words(blocks: u64) -> u64 {
    blocks.div_ceil(64)
}

/// Bytes that the coefficients of `component` take at `scale` eighths.
pub(super) fn store_bytes(frame: &Frame, component: &Component, scale: u32) -> u64 {
    let (across, down) = frame.padded_blocks(component);
    let blocks = u64::from(across) * u64::from(down);
    let side = u64::from(scale.min(8));
    let maps = if scale > 1 { blocks * 8 + occupied_words(blocks) * 8 } else { 0 };
    blocks * side * side * 2 + maps
}

impl Store {
    pub(super) fn new(frame: &Frame, component: &Component, scale: u32, buffers: &mut Buffers) -> Self {
        let (across, down) = frame.padded_blocks(component);
        let count = across as usize * down as usize;
        let side = scale.min(8) as usize;
        let mut slots = [NOT_KEPT; 64];
        for (slot, position) in slots.iter_mut().zip(POSITION) {
            let (column, row) = (usize::from(position) / 8, usize::from(position) % 8);
            if column < side && row < side {
                *slot = (column * side + row) as u8;
            }
        }
        let (maps, words) = if scale > 1 { (count, occupied_words(count as u64) as usize) } else { (0, 0) };
        let blocks = Blocks {
            area: side * side,
            kept: buffers.coefficients.take(count * side * side),
            maps: buffers.maps.take(maps),
            occupied: buffers.maps.take(words),
            slots,
            kept_set: needed_set(scale),
        };
        Self { scale: scale as usize, side, across: across as usize, down: down as usize, blocks, has_dc: false }
    }

    /// Gives the memory back.
    pub(super) fn give_back(self, buffers: &mut Buffers) {
        buffers.coefficients.give(self.blocks.kept);
        buffers.maps.give(self.blocks.maps);
        buffers.maps.give(self.blocks.occupied);
    }

    /// Writes all samples.
    pub(super) fn render(&self, input: &Input<'_>, transformer: &Transformer, plane: &mut Plane) -> Result<(), Error> {
        let machine = Machine::detect();
        for row in 0..self.down {
            input.stop_if_cancelled()?;
            machine.render_row(self, transformer, row, plane);
        }
        Ok(())
    }

    /// Writes the samples of one row of blocks. `F` and `E` are four and eight lanes as the machine has them.
    #[inline(always)]
    pub(super) fn render_row<F: Lanes<4>, E: Lanes<8>>(
        &self,
        transformer: &Transformer,
        row: usize,
        plane: &mut Plane,
    ) {
        let Blocks { area, kept, maps, kept_set, .. } = &self.blocks;
        let (first, stride) = (row * self.across, plane.stride);
        let kept = kept.get(first * area..).unwrap_or_default().chunks_exact(*area);
        let mut maps = maps.get(first..).unwrap_or_default().iter();
        let lines = plane.samples.get_mut(row * self.scale * stride..).unwrap_or_default();
        let mut whole = [0i16; 64];
        for (column, kept) in kept.take(self.across).enumerate() {
            let out = lines.get_mut(column * self.scale..).unwrap_or_default();
            let detailed = maps.next().is_some_and(|&map| map & kept_set != 0);
            if !detailed {
                transformer.mean(kept.first().copied().unwrap_or_default(), out, stride);
            } else if let Some(block) = kept.first_chunk::<64>() {
                transformer.block::<F, E>(block, out, stride);
            } else {
                for (line, values) in whole.chunks_exact_mut(8).zip(kept.chunks_exact(self.side)) {
                    if let Some(line) = line.get_mut(..self.side) {
                        line.copy_from_slice(values);
                    }
                }
                transformer.block::<F, E>(&whole, out, stride);
            }
        }
    }
}

impl Blocks {
    /// One block. `None` beyond the last.
    #[inline(always)]
    pub(super) fn block(&mut self, index: usize) -> Option<Block<'_>> {
        count_work();
        let kept = self.kept.get_mut(index * self.area..)?.get_mut(..self.area)?;
        Some(Block { kept, slots: &self.slots, map: self.maps.get_mut(index)? })
    }

    /// Notes that block `index` is not empty.
    #[inline(always)]
    pub(super) fn occupy(&mut self, index: usize) {
        if let Some(word) = self.occupied.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    /// The first block that is not empty, of those from `from` to before `end`.
    #[inline(always)]
    pub(super) fn next_occupied(&self, from: usize, end: usize) -> Option<usize> {
        if from >= end {
            return None;
        }
        let mut at = from / 64;
        let mut word = self.occupied.get(at)? & (u64::MAX << (from % 64));
        count_work();
        while word == 0 {
            count_work();
            at += 1;
            if at * 64 >= end {
                return None;
            }
            word = *self.occupied.get(at)?;
        }
        let found = at * 64 + word.trailing_zeros() as usize;
        (found < end).then_some(found)
    }
}

#[inline(always)]
fn count_work() {
    #[cfg(test)]
    work::DONE.set(work::DONE.get() + 1);
}

/// One block during a scan.
pub(super) struct Block<'a> {
    kept: &'a mut [i16],
    slots: &'a [u8; 64],
    pub(super) map: &'a mut u64,
}

impl Block<'_> {
    /// Keeps a value, if it is one of those that are kept. The map is the caller's business.
    #[inline(always)]
    pub(super) fn set(&mut self, index: u32, value: i16) {
        if let Some(kept) = self.kept.get_mut(usize::from(self.slots[(index & 63) as usize])) {
            *kept = value;
        }
    }

    /// Makes the coefficients of `set` (all of them kept) larger by `bit`, away from zero; those that were zero become negative if they are in
    /// `negative`.
    #[inline(always)]
    pub(super) fn refine(&mut self, mut set: u64, negative: u64, bit: i16) {
        while set != 0 {
            let index = set.trailing_zeros();
            set &= set - 1;
            if let Some(kept) = self.kept.get_mut(usize::from(self.slots[(index & 63) as usize]))
                && *kept & bit == 0
            {
                let minus = -i16::from(*kept < 0) | -((negative >> (index & 63) & 1) as i16);
                *kept = kept.wrapping_add((bit ^ minus) - minus);
            }
        }
    }
}

/// Blocks and words of 64 blocks that scans looked at, for the tests of what a hostile file may cost.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local! {
        pub(in crate::jpeg) static DONE: Cell<u64> = const { Cell::new(0) };
    }
}
