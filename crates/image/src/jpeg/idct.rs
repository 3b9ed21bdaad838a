//! The inverse cosine transform at eight sizes: an 8 × 8 block of coefficients becomes N × N samples.
//!
//! Only the lowest N × N coefficients count ("truncated" transform), which is a little better than what libjpeg does at the same scale.
//! All arithmetic is on floats in a fixed order, never fused, in lanes of whatever width ([`Lanes`]): every machine gives the same samples.

use std::f64::consts::PI;

/// The sizes that are offered, as eighths of the stored size.
pub(crate) const SCALES: [u32; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

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
    /// What one unit of the mean is in samples.
    mean: f32,
    /// Dequantisation with the constant factors of the transform, in the order of the block.
    factors: [[f32; 8]; 8],
    /// `cosines[u][x]`.
    cosines: [[f32; 8]; 8],
}

impl Transformer {
    /// `quantisers` in file order.
    pub(super) fn new(scale: u32, quantisers: &[u16; 64]) -> Self {
        let weight = |frequency: u8| match (scale, frequency) {
            (8, _) => eight_weight(frequency) / 8.0f64.sqrt(),
            (_, 0) => (1.0f64 / 8.0).sqrt(),
            _ => 0.5,
        };
        let mut factors = [[0f32; 8]; 8];
        for (k, &quantiser) in quantisers.iter().enumerate() {
            let (column, row) = (POSITION[k] / 8, POSITION[k] % 8);
            factors[usize::from(column)][usize::from(row)] =
                (f64::from(quantiser) * weight(column) * weight(row)) as f32;
        }
        let mut cosines = [[0f32; 8]; 8];
        for (u, row) in cosines.iter_mut().enumerate() {
            for (x, cosine) in row.iter_mut().enumerate() {
                *cosine = ((2 * x + 1) as f64 * u as f64 * PI / (2.0 * f64::from(scale))).cos() as f32;
            }
        }
        Self { scale, mean: factors[0][0], factors, cosines }
    }

    /// Writes scale × scale samples of one value to `out`: those of a block that has nothing but a mean.
    #[inline(always)]
    pub(super) fn mean(&self, mean: i16, out: &mut [u8], stride: usize) {
        let value = to_sample(f32::from(mean) * self.mean + MIDDLE);
        match self.scale {
            1 => fill::<1>(value, out, stride),
            2 => fill::<2>(value, out, stride),
            3 => fill::<3>(value, out, stride),
            4 => fill::<4>(value, out, stride),
            5 => fill::<5>(value, out, stride),
            6 => fill::<6>(value, out, stride),
            7 => fill::<7>(value, out, stride),
            _ => fill::<8>(value, out, stride),
        }
    }

    /// Writes scale × scale samples to `out`, whose rows are `stride` apart. `F` and `E` are four and eight lanes as the machine has them.
    #[inline(always)]
    pub(super) fn block<F: Lanes<4>, E: Lanes<8>>(&self, block: &[i16; 64], out: &mut [u8], stride: usize) {
        match self.scale {
            1 => {
                if let Some(out) = out.first_mut() {
                    *out = to_sample(f32::from(block[0]) * self.mean + MIDDLE);
                }
            }
            2 => self.sized::<F, 2, 4>(block, out, stride),
            3 => self.sized::<F, 3, 4>(block, out, stride),
            4 => self.sized::<F, 4, 4>(block, out, stride),
            5 => self.sized::<E, 5, 8>(block, out, stride),
            6 => self.sized::<E, 6, 8>(block, out, stride),
            7 => self.sized::<E, 7, 8>(block, out, stride),
            _ => self.sized::<E, 8, 8>(block, out, stride),
        }
    }

    /// `N` samples a side, computed in `W` ≥ `N` lanes.
    #[inline(always)]
    fn sized<L: Lanes<W>, const N: usize, const W: usize>(&self, block: &[i16; 64], out: &mut [u8], stride: usize) {
        // The block is transposed: row u holds the vertical frequencies of column u.
        let mut input = [L::splat(0.0); W];
        for ((lanes, coefficients), factors) in
            input.iter_mut().zip(block.as_chunks::<8>().0).zip(&self.factors).take(N)
        {
            *lanes = L::scaled(coefficients, factors);
        }
        input[0] = input[0].add(L::first(MIDDLE));
        let across = self.pass::<L, N, W>(input);
        let down = self.pass::<L, N, W>(L::transpose(across));
        for (y, samples) in L::samples(down).iter().take(N).enumerate() {
            if let (Some(row), Some(samples)) =
                (out.get_mut(y * stride..).and_then(<[u8]>::first_chunk_mut::<N>), samples.first_chunk::<N>())
            {
                *row = *samples;
            }
        }
    }

    /// One dimension: `out[x] = Σ cos(u, x) · input[u]`, using the symmetry of even and odd frequencies.
    #[inline(always)]
    fn pass<L: Lanes<W>, const N: usize, const W: usize>(&self, input: [L; W]) -> [L; W] {
        if N == 8 {
            return eight(input);
        }
        let mut out = [L::splat(0.0); W];
        for x in 0..N.div_ceil(2) {
            let (mut even, mut odd) = (input[0], L::splat(0.0));
            // By index: the loop must vanish in the lanes, and a chain of iterators does not.
            #[allow(clippy::needless_range_loop)]
            for u in 1..N {
                let term = input[u].mul(L::splat(self.cosines[u][x]));
                if u == 1 {
                    odd = term;
                } else if u % 2 == 0 {
                    even = even.add(term);
                } else {
                    odd = odd.add(term);
                }
            }
            let mirrored = N - 1 - x;
            out[x] = if mirrored == x { even } else { even.add(odd) };
            out[mirrored] = if mirrored == x { even } else { even.sub(odd) };
        }
        out
    }
}

/// What is added to all samples: they are stored around zero.
const MIDDLE: f32 = 128.0;

/// The factor that the eight-point transform ([`eight`]) expects with each frequency: √2 · cos(frequency · π/16), and 1 for the mean.
fn eight_weight(frequency: u8) -> f64 {
    if frequency == 0 { 1.0 } else { (f64::from(frequency) * PI / 16.0).cos() * 2.0f64.sqrt() }
}

/// The eight-point transform with 5 multiplications, after Arai, Agui and Nakajima (1988): the others are in the dequantisation.
#[inline(always)]
fn eight<L: Lanes<W>, const W: usize>(input: [L; W]) -> [L; W] {
    /// √2.
    const ROOT: f32 = std::f32::consts::SQRT_2;
    /// 2 cos(π/8).
    const C2: f32 = 1.847_759_1;
    /// 2 (cos(π/8) − cos(3π/8)).
    const C2_LESS_C6: f32 = 1.082_392_2;
    /// 2 (cos(π/8) + cos(3π/8)).
    const C2_AND_C6: f32 = 2.613_126;
    let constant = L::splat;
    // Even frequencies.
    let (sum, difference) = (input[0].add(input[4]), input[0].sub(input[4]));
    let outer = input[2].add(input[6]);
    let inner = input[2].sub(input[6]).mul(constant(ROOT)).sub(outer);
    let even = [sum.add(outer), difference.add(inner), difference.sub(inner), sum.sub(outer)];
    // Odd frequencies.
    let (z13, z10) = (input[5].add(input[3]), input[5].sub(input[3]));
    let (z11, z12) = (input[1].add(input[7]), input[1].sub(input[7]));
    let odd0 = z11.add(z13);
    let turned = z10.add(z12).mul(constant(C2));
    let odd1 = turned.sub(z10.mul(constant(C2_AND_C6))).sub(odd0);
    let odd2 = z11.sub(z13).mul(constant(ROOT)).sub(odd1);
    let odd3 = turned.sub(z12.mul(constant(C2_LESS_C6))).sub(odd2);
    let odd = [odd0, odd1, odd2, odd3];
    let mut out = input;
    for x in 0..4 {
        out[x] = even[x].add(odd[x]);
        out[7 - x] = even[x].sub(odd[x]);
    }
    out
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

/// `W` numbers that are computed at once.
pub(super) trait Lanes<const W: usize>: Copy {
    /// The same number in all lanes.
    fn splat(value: f32) -> Self;
    /// `value` in the first lane, 0 in the others.
    fn first(value: f32) -> Self;
    /// The first `W` coefficients, each times its factor.
    fn scaled(coefficients: &[i16; 8], factors: &[f32; 8]) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// Rows become columns.
    fn transpose(rows: [Self; W]) -> [Self; W];
    /// Rounded (ties to even) and clamped to 0..=255.
    fn samples(rows: [Self; W]) -> [[u8; W]; W];
}

/// For every machine: what the compiler makes of it.
impl<const W: usize> Lanes<W> for [f32; W] {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        [value; W]
    }

    #[inline(always)]
    fn first(value: f32) -> Self {
        let mut lanes = [0.0; W];
        lanes[0] = value;
        lanes
    }

    #[inline(always)]
    fn scaled(coefficients: &[i16; 8], factors: &[f32; 8]) -> Self {
        std::array::from_fn(|lane| f32::from(coefficients[lane]) * factors[lane])
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + other[lane])
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] - other[lane])
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] * other[lane])
    }

    #[inline(always)]
    fn transpose(rows: [Self; W]) -> [Self; W] {
        std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
    }

    #[inline(always)]
    fn samples(rows: [Self; W]) -> [[u8; W]; W] {
        rows.map(|row| row.map(to_sample))
    }
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
                Transformer::new(scale, &[1; 64]).block::<[f32; 4], [f32; 8]>(&block, &mut out, 8);
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
                    transformer.block::<[f32; 4], [f32; 8]>(&block, &mut out, 8);
                }
                for row in out.chunks(8).take(scale as usize) {
                    assert!(row[..scale as usize].iter().all(|&sample| sample == 200), "{scale} {row:?}");
                }
            }
        }
    }
}
