//! The transform of a block as this machine can do it best: eight floats at once with AVX2, else what the compiler makes of `dct.rs`.
//!
//! Both do the same additions and multiplications in the same order, so that a file is the same on every machine; a test compares them.
#![allow(unsafe_code)]

use super::dct;

/// Which build of the transform runs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    /// Any of the architecture.
    Plain,
    /// x86-64 with AVX2 (2013 on).
    #[cfg(target_arch = "x86_64")]
    Wide,
}

impl Machine {
    /// The best that this machine can run. The answer is kept by the standard library.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Self::Wide;
        }
        Self::Plain
    }

    /// The quantised coefficients of a block, in the order of the file, and the set of those that are not zero.
    #[inline(always)]
    pub(super) fn quantised(self, samples: &[[u8; 8]; 8], factors: &[f32; 64]) -> ([i16; 64], u64) {
        match self {
            Self::Plain => dct::quantised(&dct::transform(samples, factors)),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only `detect` makes this value, after it has found the feature.
            Self::Wide => unsafe { wide::quantised(samples, factors) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use crate::jpeg::POSITION;

    #[target_feature(enable = "avx2")]
    pub(super) fn quantised(samples: &[[u8; 8]; 8], factors: &[f32; 64]) -> ([i16; 64], u64) {
        let middle = _mm256_set1_ps(128.0);
        let rows = samples.map(|row| {
            let bytes = _mm_cvtsi64_si128(i64::from_le_bytes(row));
            _mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), middle)
        });
        let both = pass(turned(pass(rows)));
        let mut transposed = [0i16; 64];
        for (pair, out) in transposed.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let step = |u: usize| {
                // SAFETY: eight factors of 64, since u is at most 7.
                let factors = unsafe { _mm256_loadu_ps(factors.as_ptr().add(u * 8)) };
                _mm256_cvtps_epi32(_mm256_mul_ps(both[u], factors))
            };
            // The packing goes by halves of the lanes: back to rows.
            let packed =
                _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(step(pair * 2), step(pair * 2 + 1)));
            // SAFETY: sixteen numbers of two bytes.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), packed) };
        }
        let mut block = [0i16; 64];
        for (k, slot) in block.iter_mut().enumerate() {
            *slot = transposed[usize::from(POSITION[k]) & 63];
        }
        let zeros = |half: usize| {
            let quarter = |at: usize| {
                // SAFETY: sixteen numbers from 0, 16, 32 or 48.
                let values = unsafe { _mm256_loadu_si256(block.as_ptr().add(at).cast()) };
                _mm256_cmpeq_epi16(values, _mm256_setzero_si256())
            };
            let both = _mm256_packs_epi16(quarter(half * 32), quarter(half * 32 + 16));
            u64::from(_mm256_movemask_epi8(_mm256_permute4x64_epi64::<0b11_01_10_00>(both)) as u32)
        };
        let set = !(zeros(0) | zeros(1) << 32);
        (block, set)
    }

    /// One dimension of eight columns; `dct.rs` says what is what.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn pass(rows: [__m256; 8]) -> [__m256; 8] {
        let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
        let (add, sub) = (|a, b| _mm256_add_ps(a, b), |a, b| _mm256_sub_ps(a, b));
        let times = |a, factor: f32| _mm256_mul_ps(a, _mm256_set1_ps(factor));
        let (s07, d07) = (add(r0, r7), sub(r0, r7));
        let (s16, d16) = (add(r1, r6), sub(r1, r6));
        let (s25, d25) = (add(r2, r5), sub(r2, r5));
        let (s34, d34) = (add(r3, r4), sub(r3, r4));

        let (outer, inner) = (add(s07, s34), add(s16, s25));
        let (outer_difference, inner_difference) = (sub(s07, s34), sub(s16, s25));
        let rotated = times(add(inner_difference, outer_difference), std::f32::consts::FRAC_1_SQRT_2);

        let (low, middle, high) = (add(d34, d25), add(d25, d16), add(d16, d07));
        let shared = times(sub(low, high), 0.382_683_43);
        let (low, high) = (add(times(low, 0.541_196_1), shared), add(times(high, 1.306_563), shared));
        let middle = times(middle, std::f32::consts::FRAC_1_SQRT_2);
        let (sum, difference) = (add(d07, middle), sub(d07, middle));
        [
            add(outer, inner),
            add(sum, high),
            add(outer_difference, rotated),
            sub(difference, low),
            sub(outer, inner),
            add(difference, low),
            sub(outer_difference, rotated),
            sub(sum, high),
        ]
    }

    /// Rows become columns.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn turned(rows: [__m256; 8]) -> [__m256; 8] {
        let [a, b, c, d, e, f, g, h] = rows;
        // Pairs of rows, then fours, each within the halves of the lanes; then the halves.
        let four = |a, b, c, d| {
            let (ab0, ab1) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (cd0, cd1) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0x44>(ab0, cd0),
                _mm256_shuffle_ps::<0xEE>(ab0, cd0),
                _mm256_shuffle_ps::<0x44>(ab1, cd1),
                _mm256_shuffle_ps::<0xEE>(ab1, cd1),
            ]
        };
        let ([p0, p1, p2, p3], [q0, q1, q2, q3]) = (four(a, b, c, d), four(e, f, g, h));
        [
            _mm256_permute2f128_ps::<0x20>(p0, q0),
            _mm256_permute2f128_ps::<0x20>(p1, q1),
            _mm256_permute2f128_ps::<0x20>(p2, q2),
            _mm256_permute2f128_ps::<0x20>(p3, q3),
            _mm256_permute2f128_ps::<0x31>(p0, q0),
            _mm256_permute2f128_ps::<0x31>(p1, q1),
            _mm256_permute2f128_ps::<0x31>(p2, q2),
            _mm256_permute2f128_ps::<0x31>(p3, q3),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::quantise;
    use super::*;

    #[test]
    fn every_machine_makes_the_same_blocks() {
        let mut seed = 11u32;
        let mut random = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        for quality in [1, 50, 80, 100] {
            let factors = quantise::luma(quality).factors;
            for round in 0..500u32 {
                // From flat to wild, and the extremes.
                let mask = [0, 1, 15, 255][round as usize % 4];
                let samples: [[u8; 8]; 8] = std::array::from_fn(|_| {
                    std::array::from_fn(|_| if round < 20 { random() / 128 * 255 } else { random() & mask })
                });
                let expected = Machine::Plain.quantised(&samples, &factors);
                assert_eq!(Machine::detect().quantised(&samples, &factors), expected, "quality {quality}");
            }
        }
    }
}
