//! What the machine has: the hot loops are compiled twice, once for every machine of the architecture and once for those with AVX2 and the
//! bit instructions, whose shifts by any register shorten the way from one symbol to the next.
//!
//! Both are the same source, so they give the same samples. This is the only module of the decoder with `unsafe`: a call of a function that
//! asks for instructions is not safe before somebody has looked whether they are there.
#![allow(unsafe_code)]

use super::bands::{BandScan, PlainSets};
use super::baseline::ScanDecoder;
use super::bits::BitReader;
use super::idct::Transformer;
use super::plane::{Lines, Plane};
use super::store::{Blocks, Store};
use crate::Error;

/// Which build of the loops runs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    /// Any of the architecture.
    Plain,
    /// x86-64 with AVX2, BMI1, BMI2, LZCNT, POPCNT and MOVBE (2013 on).
    #[cfg(target_arch = "x86_64")]
    Wide,
}

impl Machine {
    /// The best that this machine can run. The answer is kept by the standard library.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("movbe")
        {
            return Self::Wide;
        }
        Self::Plain
    }

    /// [`ScanDecoder::decode_units`] as this machine can run it.
    pub(super) fn decode_units(
        self,
        scan: &mut ScanDecoder<'_>,
        planes: &mut [Lines<'_>],
        starts: [usize; 4],
        count: u32,
    ) -> Result<(), Error> {
        match self {
            Self::Plain => scan.decode_units::<[f32; 4], [f32; 8]>(planes, starts, count),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only `detect` makes this value, after it has found all of the features.
            Self::Wide => unsafe { wide::decode_units(scan, planes, starts, count) },
        }
    }

    /// [`BandScan::decode`] as this machine can run it.
    pub(super) fn decode_band(
        self,
        band: &BandScan<'_>,
        bits: &mut BitReader<'_>,
        blocks: &mut Blocks,
        range: (usize, usize),
        run: &mut u32,
    ) -> Result<(), Error> {
        match self {
            Self::Plain => band.decode(PlainSets, bits, blocks, range, run),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only `detect` makes this value, after it has found all of the features.
            Self::Wide => unsafe { wide::decode_band(band, bits, blocks, range, run) },
        }
    }

    /// [`Store::render_row`] as this machine can run it.
    pub(super) fn render_row(self, store: &Store, transformer: &Transformer, row: usize, plane: &mut Plane) {
        match self {
            Self::Plain => store.render_row::<[f32; 4], [f32; 8]>(transformer, row, plane),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only `detect` makes this value, after it has found all of the features.
            Self::Wide => unsafe { wide::render_row(store, transformer, row, plane) },
        }
    }

    /// What this machine answers about a set of bits, for comparison with the other.
    #[cfg(test)]
    pub(super) fn select_and_deposit(self, set: u64, n: u32, bits: u64) -> (u64, u64) {
        use super::bands::Sets;
        match self {
            Self::Plain => (PlainSets.select(set, n), PlainSets.deposit(bits, set)),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only `detect` makes this value, after it has found all of the features.
            Self::Wide => unsafe { wide::select_and_deposit(set, n, bits) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use super::super::bands::Sets;
    use super::super::idct::Lanes;
    use super::*;

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,movbe")]
    pub(super) fn decode_band(
        band: &BandScan<'_>,
        bits: &mut BitReader<'_>,
        blocks: &mut Blocks,
        range: (usize, usize),
        run: &mut u32,
    ) -> Result<(), Error> {
        band.decode(DepositSets, bits, blocks, range, run)
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,movbe")]
    pub(super) fn render_row(store: &Store, transformer: &Transformer, row: usize, plane: &mut Plane) {
        store.render_row::<Four, Eight>(transformer, row, plane);
    }

    #[cfg(test)]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,movbe")]
    pub(super) fn select_and_deposit(set: u64, n: u32, bits: u64) -> (u64, u64) {
        (DepositSets.select(set, n), DepositSets.deposit(bits, set))
    }

    /// The answers of one instruction each. Like [`Eight`] only used within functions that are compiled for it.
    #[derive(Debug, Clone, Copy)]
    struct DepositSets;

    impl Sets for DepositSets {
        #[inline(always)]
        fn select(self, set: u64, n: u32) -> u64 {
            // SAFETY: named in this module alone, by functions that are compiled for BMI2 and called after `Machine::detect` has found it.
            unsafe { _pdep_u64(1 << (n & 63), set) }
        }

        #[inline(always)]
        fn deposit(self, bits: u64, set: u64) -> u64 {
            // SAFETY: as above.
            unsafe { _pdep_u64(bits, set) }
        }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,movbe")]
    pub(super) fn decode_units(
        scan: &mut ScanDecoder<'_>,
        planes: &mut [Lines<'_>],
        starts: [usize; 4],
        count: u32,
    ) -> Result<(), Error> {
        scan.decode_units::<Four, Eight>(planes, starts, count)
    }

    /// Four floats. Like [`Eight`] only used within functions that are compiled for AVX2.
    #[derive(Clone, Copy)]
    pub(super) struct Four(__m128);

    /// Eight floats.
    #[derive(Clone, Copy)]
    pub(super) struct Eight(__m256);

    // SAFETY of all blocks below: these types are named in this module alone, by functions that are compiled for AVX2 and called after
    // `Machine::detect` has found it. What is loaded or stored is a whole array of the width of the instruction.

    impl Lanes<4> for Four {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm_set1_ps(value) })
        }

        #[inline(always)]
        fn first(value: f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm_set_ss(value) })
        }

        #[inline(always)]
        fn scaled(coefficients: &[i16; 8], factors: &[f32; 8]) -> Self {
            // SAFETY: see above; the first 8 of 16 bytes, and the first 16 of 32.
            Self(unsafe {
                let integers = _mm_cvtepi16_epi32(_mm_loadl_epi64(coefficients.as_ptr().cast()));
                _mm_mul_ps(_mm_cvtepi32_ps(integers), _mm_loadu_ps(factors.as_ptr()))
            })
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn transpose([Self(a), Self(b), Self(c), Self(d)]: [Self; 4]) -> [Self; 4] {
            // SAFETY: see above.
            unsafe {
                let (ab_low, ab_high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
                [
                    Self(_mm_movelh_ps(ab_low, cd_low)),
                    Self(_mm_movehl_ps(cd_low, ab_low)),
                    Self(_mm_movelh_ps(ab_high, cd_high)),
                    Self(_mm_movehl_ps(cd_high, ab_high)),
                ]
            }
        }

        #[inline(always)]
        fn samples([Self(a), Self(b), Self(c), Self(d)]: [Self; 4]) -> [[u8; 4]; 4] {
            let mut out = [[0; 4]; 4];
            // SAFETY: see above. Below 0 the packing clamps; above it could not, since a float beyond the integers becomes the lowest.
            unsafe {
                let most = _mm_set1_ps(255.0);
                let (a, b) = (_mm_cvtps_epi32(_mm_min_ps(a, most)), _mm_cvtps_epi32(_mm_min_ps(b, most)));
                let (c, d) = (_mm_cvtps_epi32(_mm_min_ps(c, most)), _mm_cvtps_epi32(_mm_min_ps(d, most)));
                let bytes = _mm_packus_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
                _mm_storeu_si128(out.as_mut_ptr().cast(), bytes);
            }
            out
        }
    }

    impl Lanes<8> for Eight {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        fn first(value: f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_zextps128_ps256(_mm_set_ss(value)) })
        }

        #[inline(always)]
        fn scaled(coefficients: &[i16; 8], factors: &[f32; 8]) -> Self {
            // SAFETY: see above.
            Self(unsafe {
                let integers = _mm256_cvtepi16_epi32(_mm_loadu_si128(coefficients.as_ptr().cast()));
                _mm256_mul_ps(_mm256_cvtepi32_ps(integers), _mm256_loadu_ps(factors.as_ptr()))
            })
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn transpose(rows: [Self; 8]) -> [Self; 8] {
            let [Self(a), Self(b), Self(c), Self(d), Self(e), Self(f), Self(g), Self(h)] = rows;
            // SAFETY: see above.
            unsafe {
                // Pairs of rows, then fours, each within the halves of the lanes; then the halves.
                let (ab0, ab1) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (cd0, cd1) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                let (ef0, ef1) = (_mm256_unpacklo_ps(e, f), _mm256_unpackhi_ps(e, f));
                let (gh0, gh1) = (_mm256_unpacklo_ps(g, h), _mm256_unpackhi_ps(g, h));
                let (p0, p1) = (_mm256_shuffle_ps::<0x44>(ab0, cd0), _mm256_shuffle_ps::<0xEE>(ab0, cd0));
                let (p2, p3) = (_mm256_shuffle_ps::<0x44>(ab1, cd1), _mm256_shuffle_ps::<0xEE>(ab1, cd1));
                let (q0, q1) = (_mm256_shuffle_ps::<0x44>(ef0, gh0), _mm256_shuffle_ps::<0xEE>(ef0, gh0));
                let (q2, q3) = (_mm256_shuffle_ps::<0x44>(ef1, gh1), _mm256_shuffle_ps::<0xEE>(ef1, gh1));
                [
                    Self(_mm256_permute2f128_ps::<0x20>(p0, q0)),
                    Self(_mm256_permute2f128_ps::<0x20>(p1, q1)),
                    Self(_mm256_permute2f128_ps::<0x20>(p2, q2)),
                    Self(_mm256_permute2f128_ps::<0x20>(p3, q3)),
                    Self(_mm256_permute2f128_ps::<0x31>(p0, q0)),
                    Self(_mm256_permute2f128_ps::<0x31>(p1, q1)),
                    Self(_mm256_permute2f128_ps::<0x31>(p2, q2)),
                    Self(_mm256_permute2f128_ps::<0x31>(p3, q3)),
                ]
            }
        }

        #[inline(always)]
        fn samples(rows: [Self; 8]) -> [[u8; 8]; 8] {
            let [a, b, c, d, e, f, g, h] = rows;
            let mut out = [[0; 8]; 8];
            // SAFETY: see above; two times 32 of 64 bytes.
            unsafe {
                let start: *mut u8 = out.as_mut_ptr().cast();
                _mm256_storeu_si256(start.cast(), four_rows([a, b, c, d]));
                _mm256_storeu_si256(start.add(32).cast(), four_rows([e, f, g, h]));
            }
            out
        }
    }

    /// Rounded and clamped, row by row.
    #[inline(always)]
    fn four_rows([Eight(a), Eight(b), Eight(c), Eight(d)]: [Eight; 4]) -> __m256i {
        // SAFETY: see above. Below 0 the packing clamps; above it could not, since a float beyond the integers becomes the lowest.
        unsafe {
            let most = _mm256_set1_ps(255.0);
            let (a, b) = (_mm256_cvtps_epi32(_mm256_min_ps(a, most)), _mm256_cvtps_epi32(_mm256_min_ps(b, most)));
            let (c, d) = (_mm256_cvtps_epi32(_mm256_min_ps(c, most)), _mm256_cvtps_epi32(_mm256_min_ps(d, most)));
            let bytes = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
            // The packing goes by halves of the lanes: back to rows.
            _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::super::idct::SCALES;
    use super::*;

    #[target_feature(enable = "avx2")]
    fn wide_block(transformer: &Transformer, block: &[i16; 64], out: &mut [u8]) {
        transformer.block::<wide::Four, wide::Eight>(block, out, 8);
    }

    #[test]
    fn the_wide_lanes_give_the_samples_of_the_plain_ones() {
        if Machine::detect() != Machine::Wide {
            return;
        }
        let mut seed = 7u32;
        for scale in SCALES {
            for round in 0..400 {
                let mut block = [0i16; 64];
                for value in block.iter_mut().take(1 + round % 64) {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // From what photos hold to what only a liar writes.
                    *value = ((seed >> 16) as i16) >> (round % 14);
                }
                let transformer = Transformer::new(scale, &[1 + (seed >> 8) as u16 % 300 * (round as u16 % 7); 64]);
                let (mut plain, mut wide) = ([0u8; 64], [0u8; 64]);
                transformer.block::<[f32; 4], [f32; 8]>(&block, &mut plain, 8);
                // SAFETY: asked for above.
                unsafe { wide_block(&transformer, &block, &mut wide) };
                assert_eq!(plain, wide, "scale {scale}, round {round}");
            }
        }
    }
}
