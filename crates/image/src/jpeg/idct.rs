//! The inverse cosine transform at eight sizes: an 8 × 8 block of coefficients becomes N × N samples.
//!
//! Only the lowest N × N coefficients count ("truncated" transform), which is a little better than what libjpeg does at the same scale.
//! All arithmetic is on arrays of floats in fixed order, so that the compiler vectorises it and every machine gives the same samples.

use std::f64::consts::PI;

/// The sizes that are offered, as eighths of the stored size.
pub(crate) const SCALES: [u32; 7] = [1, 2, 3, 4, 5, 6, 8];

/// Position in a block of the k-th coefficient in file order. Blocks are kept **transposed** (column by column): one transposition less per
/// block. The entries above 63 catch runs that point beyond the block.
pub(crate) const POSITION: [u8; 128] = position_table();

const fn position_table() -> [u8; 128] {
    let mut table = [63u8; 128];
    let (mut row, mut column, mut k) = (0i32, 0i32, 0usize);
    let mut up = true;
    while k < 64 {
        table[k] = (column * 8 + row) as u8;
        k += 1;
        if up {
            if column == 7 {
                row += 1;
                up = false;
            } else if row == 0 {
                column += 1;
                up = false;
            } else {
                row -= 1;
                column += 1;
            }
        } else if row == 7 {
            column += 1;
            up = true;
        } else if column == 0 {
            row += 1;
            up = true;
        } else {
            row += 1;
            column -= 1;
        }
    }
    table
}

/// The last coefficient in file order that a transform of `scale` eighths needs.
pub(super) const fn last_needed(scale: u32) -> u32 {
    let mut last = 0;
    let mut k = 0;
    while k < 64 {
        let (column, row) = ((POSITION[k] / 8) as u32, (POSITION[k] % 8) as u32);
        if column < scale && row < scale {
            last = k as u32;
        }
        k += 1;
    }
    last
}

/// The set of coefficients (bit k in file order) that a transform of `scale` eighths needs.
pub(super) const fn needed_set(scale: u32) -> u64 {
    let mut set = 0u64;
    let mut k = 0;
    while k < 64 {
        if ((POSITION[k] / 8) as u32) < scale && ((POSITION[k] % 8) as u32) < scale {
            set |= 1 << k;
        }
        k += 1;
    }
    set
}

/// Everything a transform of one size with one quantisation table needs.
pub(super) struct Transformer {
    scale: u32,
    /// Dequantisation with the constant factors of the transform, in the order of the block.
    factors: [f32; 64],
    /// `cosines[u][x]`.
    cosines: [[f32; 8]; 8],
}

impl Transformer {
    /// `quantisers` in file order.
    pub(super) fn new(scale: u32, quantisers: &[u16; 64]) -> Self {
        let weight = |frequency: u8| if frequency == 0 { (1.0f64 / 8.0).sqrt() } else { 0.5 };
        let mut factors = [0f32; 64];
        for (k, &quantiser) in quantisers.iter().enumerate() {
            let position = POSITION[k];
            factors[usize::from(position)] =
                (f64::from(quantiser) * weight(position / 8) * weight(position % 8)) as f32;
        }
        let mut cosines = [[0f32; 8]; 8];
        for (u, row) in cosines.iter_mut().enumerate() {
            for (x, cosine) in row.iter_mut().enumerate() {
                *cosine = ((2 * x + 1) as f64 * u as f64 * PI / (2.0 * f64::from(scale))).cos() as f32;
            }
        }
        Self { scale, factors, cosines }
    }

    /// Writes scale × scale samples of one value to `out`: those of a block that has nothing but a mean.
    #[inline(always)]
    pub(super) fn mean(&self, mean: i16, out: &mut [u8], stride: usize) {
        let value = to_sample(f32::from(mean) * self.factors[0] + 128.0);
        match self.scale {
            1 => fill::<1>(value, out, stride),
            2 => fill::<2>(value, out, stride),
            3 => fill::<3>(value, out, stride),
            4 => fill::<4>(value, out, stride),
            5 => fill::<5>(value, out, stride),
            6 => fill::<6>(value, out, stride),
            _ => fill::<8>(value, out, stride),
        }
    }

    /// Writes scale × scale samples to `out`, whose rows are `stride` apart.
    #[inline(always)]
    pub(super) fn block(&self, block: &[i16; 64], out: &mut [u8], stride: usize) {
        match self.scale {
            1 => out[0] = to_sample(f32::from(block[0]) * self.factors[0] + 128.0),
            2 => self.sized::<2, 4>(block, out, stride),
            3 => self.sized::<3, 4>(block, out, stride),
            4 => self.sized::<4, 4>(block, out, stride),
            5 => self.sized::<5, 8>(block, out, stride),
            6 => self.sized::<6, 8>(block, out, stride),
            _ => self.sized::<8, 8>(block, out, stride),
        }
    }

    /// `N` samples a side, computed in lanes of `L` ≥ N.
    #[inline(always)]
    fn sized<const N: usize, const L: usize>(&self, block: &[i16; 64], out: &mut [u8], stride: usize) {
        // The block is transposed: row u holds the vertical frequencies of column u.
        let mut input = [[0f32; L]; N];
        for u in 0..N {
            for lane in 0..L {
                input[u][lane] = f32::from(block[u * 8 + lane]) * self.factors[u * 8 + lane];
            }
        }
        let across = pass::<N, L>(&input, &self.cosines);
        let mut turned = [[0f32; L]; N];
        for v in 0..N {
            for x in 0..N {
                turned[v][x] = across[x][v];
            }
        }
        let down = pass::<N, L>(&turned, &self.cosines);
        for (y, samples) in down.iter().enumerate() {
            let mut bytes = [0u8; L];
            for lane in 0..L {
                bytes[lane] = to_sample(samples[lane] + 128.0);
            }
            if let (Some(row), Some(bytes)) =
                (out.get_mut(y * stride..).and_then(<[u8]>::first_chunk_mut::<N>), bytes.first_chunk::<N>())
            {
                *row = *bytes;
            }
        }
    }
}

/// Writes `N` × `N` samples of one value.
#[inline(always)]
fn fill<const N: usize>(value: u8, out: &mut [u8], stride: usize) {
    for y in 0..N {
        if let Some(row) = out.get_mut(y * stride..).and_then(<[u8]>::first_chunk_mut::<N>) {
            row.fill(value);
        }
    }
}

/// One dimension: `out[x] = Σ cos(u, x) · input[u]`, using the symmetry of even and odd frequencies.
#[inline(always)]
fn pass<const N: usize, const L: usize>(input: &[[f32; L]; N], cosines: &[[f32; 8]; 8]) -> [[f32; L]; N] {
    let mut out = [[0f32; L]; N];
    for x in 0..N.div_ceil(2) {
        let mut even = input[0];
        let mut odd = [0f32; L];
        for u in 1..N {
            let cosine = cosines[u][x];
            let sum = if u % 2 == 0 { &mut even } else { &mut odd };
            for lane in 0..L {
                sum[lane] += cosine * input[u][lane];
            }
        }
        for lane in 0..L {
            out[x][lane] = even[lane] + odd[lane];
            out[N - 1 - x][lane] = if N - 1 - x == x { even[lane] } else { even[lane] - odd[lane] };
        }
    }
    out
}

/// Rounds and clamps to 0..=255 with operations that exist in every SIMD set.
#[inline(always)]
fn to_sample(value: f32) -> u8 {
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    // Adding 2^23 leaves the rounded integer in the lowest bits.
    (value + 8_388_608.0).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_file_is_the_zigzag() {
        // Row-major zigzag starts 0, 1, 8, 16, 9, 2; transposed that is 0, 8, 1, 2, 9, 16.
        assert_eq!(POSITION[..6], [0, 8, 1, 2, 9, 16]);
        assert_eq!(POSITION[63], 63);
        let mut seen = POSITION[..64].to_vec();
        seen.sort_unstable();
        assert_eq!(seen, (0..64).collect::<Vec<u8>>());
        assert_eq!([last_needed(1), last_needed(2), last_needed(4), last_needed(8)], [0, 4, 24, 63]);
        assert_eq!(needed_set(8), u64::MAX);
    }

    /// The definition, in double precision.
    fn slow(block: &[i16; 64], scale: usize) -> Vec<f64> {
        let n = scale as f64;
        let basis = |u: usize, x: usize| {
            let weight = if u == 0 { (1.0 / 8.0f64).sqrt() } else { 0.5 };
            weight * ((2 * x + 1) as f64 * u as f64 * PI / (2.0 * n)).cos()
        };
        let mut out = Vec::new();
        for y in 0..scale {
            for x in 0..scale {
                let mut sum = 128.0;
                for u in 0..scale {
                    for v in 0..scale {
                        sum += f64::from(block[u * 8 + v]) * basis(u, x) * basis(v, y);
                    }
                }
                out.push(sum.clamp(0.0, 255.0));
            }
        }
        out
    }

    #[test]
    fn every_scale_agrees_with_the_definition() {
        let mut seed = 1u32;
        for scale in SCALES {
            for round in 0..50 {
                let mut block = [0i16; 64];
                for value in block.iter_mut().take(1 + round) {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *value = (seed >> 16) as i16 % 100;
                }
                let mut out = [0u8; 64];
                Transformer::new(scale, &[1; 64]).block(&block, &mut out, 8);
                for (i, expected) in slow(&block, scale as usize).into_iter().enumerate() {
                    let got = out[i / scale as usize * 8 + i % scale as usize];
                    assert!((f64::from(got) - expected).abs() < 0.51, "scale {scale}, sample {i}: {got} {expected}");
                }
            }
        }
    }

    #[test]
    fn a_block_of_one_colour_is_that_colour_at_every_scale() {
        for scale in SCALES {
            let mut block = [0i16; 64];
            block[0] = 8 * (200 - 128);
            for mean_only in [false, true] {
                let mut out = [0u8; 64];
                let transformer = Transformer::new(scale, &[1; 64]);
                if mean_only {
                    transformer.mean(block[0], &mut out, 8);
                } else {
                    transformer.block(&block, &mut out, 8);
                }
                for row in out.chunks(8).take(scale as usize) {
                    assert!(row[..scale as usize].iter().all(|&sample| sample == 200), "{scale} {row:?}");
                }
            }
        }
    }
}
