//! The forward cosine transform (Arai, Agui, Nakajima) in arrays of floats that the compiler vectorises, and quantisation.

use super::machine::Machine;
use super::quantise::Quantisers;
use crate::jpeg::POSITION;
use crate::raster::Raster;
use crate::scratch::Buffers;

/// The quantised blocks of one plane, row by row.
pub(super) struct Blocks {
    /// Blocks across and down.
    pub(super) across: usize,
    pub(super) down: usize,
    /// 64 coefficients a block, in the order of the file.
    coefficients: Vec<i16>,
    /// One bit for each coefficient that is not zero.
    nonzero: Vec<u64>,
}

impl Blocks {
    /// Transforms a plane; pixels beyond its edges repeat the last ones.
    pub(super) fn new(plane: &Raster, quantisers: &Quantisers, buffers: &mut Buffers) -> Self {
        let (width, height) = (plane.width as usize, plane.height as usize);
        let (across, down) = (width.div_ceil(8), height.div_ceil(8));
        let mut coefficients = buffers.coefficients.take(across * down * 64);
        let mut nonzero = buffers.maps.take(across * down);
        let mut slots = coefficients.as_chunks_mut::<64>().0.iter_mut().zip(&mut nonzero);
        let machine = Machine::detect();
        for top in (0..height).step_by(8) {
            for left in (0..width).step_by(8) {
                let Some((block, set)) = slots.next() else { break };
                (*block, *set) = machine.quantised(&load(plane, left, top), &quantisers.factors);
            }
        }
        Self { across, down, coefficients, nonzero }
    }

    /// Gives the buffers back.
    pub(super) fn give_back(self, buffers: &mut Buffers) {
        buffers.coefficients.give(self.coefficients);
        buffers.maps.give(self.nonzero);
    }

    /// All blocks, row by row, each with the set of its non-zero coefficients.
    pub(super) fn all(&self) -> impl Iterator<Item = (&[i16; 64], u64)> {
        self.coefficients.as_chunks::<64>().0.iter().zip(self.nonzero.iter().copied())
    }

    /// Changes every block; `plane` is the one that they were made of, and `change` sees the exact coefficients in steps of the quantiser,
    /// in the order of the file.
    pub(super) fn reconsider(
        &mut self,
        plane: &Raster,
        quantisers: &Quantisers,
        mut change: impl FnMut(&[f32; 64], &mut [i16; 64]),
    ) {
        let mut places = (0..plane.height as usize)
            .step_by(8)
            .flat_map(|y| (0..plane.width as usize).step_by(8).map(move |x| (x, y)));
        for (block, nonzero) in self.coefficients.as_chunks_mut::<64>().0.iter_mut().zip(&mut self.nonzero) {
            let Some((left, top)) = places.next() else { break };
            let exact = transform(&load(plane, left, top), &quantisers.factors);
            let mut ordered = [0f32; 64];
            for (slot, &position) in ordered.iter_mut().zip(&POSITION) {
                *slot = exact[usize::from(position) & 63];
            }
            change(&ordered, block);
            *nonzero = block.iter().enumerate().fold(0, |set, (k, &value)| set | u64::from(value != 0) << k);
        }
    }

    /// The block in `row` and `column`, with the set of its non-zero coefficients; `None` beyond the edges.
    #[inline(always)]
    pub(super) fn get(&self, row: usize, column: usize) -> Option<(&[i16; 64], u64)> {
        if row >= self.down || column >= self.across {
            return None;
        }
        let index = row * self.across + column;
        self.coefficients.as_chunks::<64>().0.get(index).zip(self.nonzero.get(index).copied())
    }
}

/// 1.5 × 2^23: adding it leaves the rounded integer in the low bits, also of negative numbers.
const ROUND: f32 = 12_582_912.0;

/// Eight by eight samples; those beyond the edges repeat the last ones.
#[inline(always)]
fn load(plane: &Raster, left: usize, top: usize) -> [[u8; 8]; 8] {
    let (width, height) = (plane.width as usize, plane.height as usize);
    let mut samples = [[0; 8]; 8];
    for (y, line) in samples.iter_mut().enumerate() {
        let start = (top + y).min(height - 1) * width;
        let row = &plane.data[start..start + width];
        match row.get(left..).and_then(<[u8]>::first_chunk::<8>) {
            Some(eight) => *line = *eight,
            None => *line = std::array::from_fn(|x| row[(left + x).min(width - 1)]),
        }
    }
    samples
}

/// The coefficients in steps of the quantiser. Row u holds the vertical frequencies of the horizontal frequency u: transposed, as `POSITION`
/// expects.
#[inline(always)]
pub(super) fn transform(samples: &[[u8; 8]; 8], factors: &[f32; 64]) -> [f32; 64] {
    let down = pass(&samples.map(|row| row.map(|sample| f32::from(sample) - 128.0)));
    let mut turned = [[0f32; 8]; 8];
    for (y, line) in down.iter().enumerate() {
        for (x, &value) in line.iter().enumerate() {
            turned[x][y] = value;
        }
    }
    let both = pass(&turned);
    let mut exact = [0f32; 64];
    for (u, line) in both.iter().enumerate() {
        for (v, &value) in line.iter().enumerate() {
            exact[u * 8 + v] = value * factors[u * 8 + v];
        }
    }
    exact
}

/// Rounded, in the order of the file, with the set of what is not zero.
#[inline(always)]
pub(super) fn quantised(exact: &[f32; 64]) -> ([i16; 64], u64) {
    let rounded = exact.map(|value| ((value + ROUND).to_bits() as i32 - ROUND.to_bits() as i32) as i16);
    let mut block = [0i16; 64];
    let mut set = 0u64;
    for (k, slot) in block.iter_mut().enumerate() {
        let value = rounded[usize::from(POSITION[k]) & 63];
        *slot = value;
        set |= u64::from(value != 0) << k;
    }
    (block, set)
}

/// One dimension of eight lanes at once.
#[inline(always)]
fn pass(input: &[[f32; 8]; 8]) -> [[f32; 8]; 8] {
    let mut out = [[0f32; 8]; 8];
    for lane in 0..8 {
        let at = |row: usize| input[row][lane];
        let (s07, d07) = (at(0) + at(7), at(0) - at(7));
        let (s16, d16) = (at(1) + at(6), at(1) - at(6));
        let (s25, d25) = (at(2) + at(5), at(2) - at(5));
        let (s34, d34) = (at(3) + at(4), at(3) - at(4));

        let (outer, inner) = (s07 + s34, s16 + s25);
        let (outer_difference, inner_difference) = (s07 - s34, s16 - s25);
        out[0][lane] = outer + inner;
        out[4][lane] = outer - inner;
        let rotated = (inner_difference + outer_difference) * std::f32::consts::FRAC_1_SQRT_2;
        out[2][lane] = outer_difference + rotated;
        out[6][lane] = outer_difference - rotated;

        let (low, middle, high) = (d34 + d25, d25 + d16, d16 + d07);
        let shared = (low - high) * 0.382_683_43;
        let (low, high) = (0.541_196_1 * low + shared, 1.306_563 * high + shared);
        let middle = middle * std::f32::consts::FRAC_1_SQRT_2;
        let (sum, difference) = (d07 + middle, d07 - middle);
        out[5][lane] = difference + low;
        out[3][lane] = difference - low;
        out[1][lane] = sum + high;
        out[7][lane] = sum - high;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    #[test]
    fn the_transform_agrees_with_its_definition() {
        let quantisers = super::super::quantise::luma(100);
        let mut samples = [[0u8; 8]; 8];
        let mut seed = 3u32;
        for value in samples.iter_mut().flatten() {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (seed >> 24) as u8;
        }
        let (block, set) = quantised(&transform(&samples, &quantisers.factors));
        for k in 0..64 {
            let (u, v) = (usize::from(POSITION[k]) / 8, usize::from(POSITION[k]) % 8);
            let weight = |f: usize| if f == 0 { (1.0f64 / 8.0).sqrt() } else { 0.5 };
            let mut sum = 0.0;
            for (y, line) in samples.iter().enumerate() {
                for (x, &sample) in line.iter().enumerate() {
                    let cosine = |at: usize, f: usize| ((2 * at + 1) as f64 * f as f64 * PI / 16.0).cos();
                    sum += (f64::from(sample) - 128.0) * cosine(x, u) * cosine(y, v);
                }
            }
            let expected = sum * weight(u) * weight(v);
            assert!((f64::from(block[k]) - expected).abs() < 0.51, "coefficient {k}: {} {expected}", block[k]);
            assert_eq!(set >> k & 1 == 1, block[k] != 0);
        }
    }
}
