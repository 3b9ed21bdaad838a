//! The passes of `passes.rs` with AVX2. Each function does its whole work and says `true`, or nothing and says `false` where the machine
//! has no AVX2.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_add_epi32, _mm_cvtsi32_si128, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_packs_epi32,
    _mm_packus_epi16, _mm_set1_epi32, _mm_sra_epi32, _mm256_add_epi16, _mm256_add_epi32, _mm256_castsi256_si128,
    _mm256_cmpeq_epi8, _mm256_cvtepu8_epi16, _mm256_extracti128_si256, _mm256_hadd_epi32, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_movemask_epi8, _mm256_mullo_epi16, _mm256_or_si256, _mm256_packs_epi32,
    _mm256_packus_epi16, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_sra_epi32, _mm256_srli_epi16, _mm256_storeu_si256, _mm256_unpackhi_epi8,
    _mm256_unpacklo_epi8,
};

use super::passes::scalar;
use super::weights::{Axis, GROUP};

/// Columns that the pass down makes at once.
const COLUMNS: usize = 64;
/// Bytes of a register.
const WIDTH: usize = 32;

fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

pub(super) fn down(rows: &[&[u8]], weights: &[i16], bits: u32, out: &mut [u8]) -> bool {
    if !available() {
        return false;
    }
    // SAFETY: the machine has AVX2.
    unsafe { down_avx2(rows, weights, bits, out) };
    true
}

pub(super) fn across(line: &[u8], axis: &Axis, out: &mut [u8]) -> bool {
    if !available() {
        return false;
    }
    // SAFETY: the machine has AVX2.
    unsafe { across_avx2(line, axis, out) };
    true
}

pub(super) fn multiply_alpha(pixels: &mut [[u8; 4]]) -> bool {
    if !available() {
        return false;
    }
    // SAFETY: the machine has AVX2.
    unsafe { multiply_alpha_avx2(pixels) };
    true
}

pub(super) fn split<const C: usize>(pixels: &[[u8; C]], parts: &mut [&mut [u8]; C]) -> bool {
    if !available() {
        return false;
    }
    // SAFETY: the machine has AVX2.
    unsafe { split_avx2(pixels, parts) };
    true
}

pub(super) fn join<const C: usize>(parts: &[&[u8]; C], pixels: &mut [[u8; C]]) -> bool {
    if !available() {
        return false;
    }
    // SAFETY: the machine has AVX2.
    unsafe { join_avx2(parts, pixels) };
    true
}

/// The compiler knows how to do it with these instructions.
#[target_feature(enable = "avx2")]
fn split_avx2<const C: usize>(pixels: &[[u8; C]], parts: &mut [&mut [u8]; C]) {
    scalar::split(pixels, parts);
}

#[target_feature(enable = "avx2")]
fn join_avx2<const C: usize>(parts: &[&[u8]; C], pixels: &mut [[u8; C]]) {
    scalar::join(parts, pixels);
}

#[inline]
#[target_feature(enable = "avx2")]
fn load32(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are there, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load16(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are there, and the load asks for no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_weights(weights: &[i16; GROUP]) -> __m256i {
    // SAFETY: 16 numbers of 16 bits are there, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store32(bytes: &mut [u8; 32], value: __m256i) {
    // SAFETY: 32 bytes are there, and the store asks for no alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), value) };
}

#[target_feature(enable = "avx2")]
fn down_avx2(rows: &[&[u8]], weights: &[i16], bits: u32, out: &mut [u8]) {
    let length = rows.iter().map(|row| row.len()).min().unwrap_or(0).min(out.len());
    let mut first = 0;
    while first + COLUMNS <= length {
        down_block(rows, weights, bits, first, out);
        first += COLUMNS;
    }
    if first < length && length >= COLUMNS {
        // The last columns again, together with those that are missing.
        down_block(rows, weights, bits, length - COLUMNS, out);
        first = length;
    }
    scalar::down(rows, weights, bits, first, out);
}

/// The sums of 32 columns, in the order in which the bytes were taken apart.
type Sums = [__m256i; 4];

/// Adds two rows of 32 columns: their samples side by side, so that one instruction multiplies and adds both.
#[inline]
#[target_feature(enable = "avx2")]
fn add(sums: &mut Sums, a: __m256i, b: __m256i, weights: __m256i) {
    let zero = _mm256_setzero_si256();
    let (low, high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(_mm256_unpacklo_epi8(low, zero), weights));
    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(_mm256_unpackhi_epi8(low, zero), weights));
    sums[2] = _mm256_add_epi32(sums[2], _mm256_madd_epi16(_mm256_unpacklo_epi8(high, zero), weights));
    sums[3] = _mm256_add_epi32(sums[3], _mm256_madd_epi16(_mm256_unpackhi_epi8(high, zero), weights));
}

/// The bytes of the sums, in the order of the columns.
#[inline]
#[target_feature(enable = "avx2")]
fn narrow(&[a, b, c, d]: &Sums, bits: u32) -> __m256i {
    let count = _mm_cvtsi32_si128(bits as i32);
    let low = _mm256_packs_epi32(_mm256_sra_epi32(a, count), _mm256_sra_epi32(b, count));
    let high = _mm256_packs_epi32(_mm256_sra_epi32(c, count), _mm256_sra_epi32(d, count));
    _mm256_packus_epi16(low, high)
}

/// The two registers of the columns from `first` on.
#[inline(always)]
fn columns(row: &[u8], first: usize) -> Option<&[[u8; WIDTH]; 2]> {
    row.get(first..first + COLUMNS)?.as_chunks::<WIDTH>().0.first_chunk::<2>()
}

/// 64 columns from `first` on.
#[inline]
#[target_feature(enable = "avx2")]
fn down_block(rows: &[&[u8]], weights: &[i16], bits: u32, first: usize, out: &mut [u8]) {
    let half = _mm256_set1_epi32(1 << bits >> 1);
    let (mut left, mut right) = ([half; 4], [half; 4]);
    let (pairs, last) = rows.as_chunks::<2>();
    let (weight_pairs, last_weight) = weights.as_chunks::<2>();
    for (&[a, b], &[weight_a, weight_b]) in pairs.iter().zip(weight_pairs) {
        let weight = _mm256_set1_epi32(i32::from(weight_b) << 16 | i32::from(weight_a) & 0xFFFF);
        let (Some(a), Some(b)) = (columns(a, first), columns(b, first)) else { return };
        add(&mut left, load32(&a[0]), load32(&b[0]), weight);
        add(&mut right, load32(&a[1]), load32(&b[1]), weight);
    }
    if let (&[row], &[weight]) = (last, last_weight) {
        let Some(row) = columns(row, first) else { return };
        let (zero, weight) = (_mm256_setzero_si256(), _mm256_set1_epi32(i32::from(weight) & 0xFFFF));
        add(&mut left, load32(&row[0]), zero, weight);
        add(&mut right, load32(&row[1]), zero, weight);
    }
    if let Some([out_left, out_right]) = out.get_mut(first..first + COLUMNS).map(|out| out.as_chunks_mut::<WIDTH>().0) {
        store32(out_left, narrow(&left, bits));
        store32(out_right, narrow(&right, bits));
    }
}

/// Samples that the pass across makes at once.
const SAMPLES: usize = 4;

#[target_feature(enable = "avx2")]
fn across_avx2(line: &[u8], axis: &Axis, out: &mut [u8]) {
    match axis.stride() / GROUP {
        1 => across_groups::<1>(line, axis, out),
        2 => across_groups::<2>(line, axis, out),
        3 => across_groups::<3>(line, axis, out),
        4 => across_groups::<4>(line, axis, out),
        // Zero for any number.
        _ => across_groups::<0>(line, axis, out),
    }
}

/// For windows of so many groups of weights.
#[inline]
#[target_feature(enable = "avx2")]
fn across_groups<const GROUPS: usize>(line: &[u8], axis: &Axis, out: &mut [u8]) {
    let stride = if GROUPS == 0 { axis.stride() } else { GROUPS * GROUP };
    let (half, count) = (_mm_set1_epi32(1 << axis.bits >> 1), _mm_cvtsi32_si128(axis.bits as i32));
    let (fours, _) = out.as_chunks_mut::<SAMPLES>();
    let done = fours.len() * SAMPLES;
    let (windows, weights) = axis.parts();
    let windows = windows.as_chunks::<SAMPLES>().0;
    for ((four, windows), weights) in fours.iter_mut().zip(windows).zip(weights.chunks_exact(SAMPLES * stride)) {
        let mut sums = [_mm256_setzero_si256(); SAMPLES];
        for ((sum, &(start, _)), weights) in sums.iter_mut().zip(windows).zip(weights.chunks_exact(stride)) {
            let start = start as usize;
            let samples = line.get(start..start + stride).unwrap_or_default().as_chunks::<GROUP>().0;
            for (samples, weights) in samples.iter().zip(weights.as_chunks::<GROUP>().0) {
                let product = _mm256_madd_epi16(_mm256_cvtepu8_epi16(load16(samples)), load_weights(weights));
                *sum = _mm256_add_epi32(*sum, product);
            }
        }
        let [a, b, c, d] = sums;
        let halves = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        let sum = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
        let sum = _mm_sra_epi32(_mm_add_epi32(sum, half), count);
        let words = _mm_packs_epi32(sum, sum);
        *four = _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes();
    }
    scalar::across(line, axis, done, out);
}

#[target_feature(enable = "avx2")]
fn multiply_alpha_avx2(pixels: &mut [[u8; 4]]) {
    let zero = _mm256_setzero_si256();
    let (round, opaque) = (_mm256_set1_epi16(128), _mm256_set1_epi32(0xFF00_0000_u32 as i32));
    // Alpha to the places of the three colours; alpha itself is multiplied by 255 / 255.
    let spread = _mm256_setr_epi8(
        3, 3, 3, -1, 7, 7, 7, -1, 11, 11, 11, -1, 15, 15, 15, -1, //
        3, 3, 3, -1, 7, 7, 7, -1, 11, 11, 11, -1, 15, 15, 15, -1,
    );
    let (blocks, rest) = pixels.as_flattened_mut().as_chunks_mut::<32>();
    for block in blocks {
        let colors = load32(block);
        let alphas = _mm256_or_si256(_mm256_shuffle_epi8(colors, spread), opaque);
        if _mm256_movemask_epi8(_mm256_cmpeq_epi8(alphas, _mm256_set1_epi32(-1))) == -1 {
            continue;
        }
        let times = |colors: __m256i, alphas: __m256i| {
            let product = _mm256_add_epi16(_mm256_mullo_epi16(colors, alphas), round);
            _mm256_srli_epi16::<8>(_mm256_add_epi16(product, _mm256_srli_epi16::<8>(product)))
        };
        let low = times(_mm256_unpacklo_epi8(colors, zero), _mm256_unpacklo_epi8(alphas, zero));
        let high = times(_mm256_unpackhi_epi8(colors, zero), _mm256_unpackhi_epi8(alphas, zero));
        store32(block, _mm256_packus_epi16(low, high));
    }
    scalar::multiply_alpha(rest.as_chunks_mut::<4>().0);
}
