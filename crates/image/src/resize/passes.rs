//! The two passes of a resize for one row of the target, and the arithmetic of alpha: in plain Rust, and on x86-64 with AVX2 the same
//! again in `avx2.rs`. All sums are of whole numbers, so both give the same bytes.

use super::weights::Axis;

#[cfg(target_arch = "x86_64")]
use super::avx2;

/// Adds up these rows, each times its weight: one row of the target, still as wide as the source.
pub(super) fn down(rows: &[&[u8]], weights: &[i16], bits: u32, out: &mut [u8]) {
    if let ([row], true) = (rows, weights.first().is_some_and(|&weight| i32::from(weight) == 1 << bits)) {
        let length = row.len().min(out.len());
        out[..length].copy_from_slice(&row[..length]);
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if avx2::down(rows, weights, bits, out) {
        return;
    }
    scalar::down(rows, weights, bits, 0, out);
}

/// Makes the samples of a row from those of a longer or shorter one. `line` has at least [`Axis::stride`] samples more than the axis reaches.
pub(super) fn across(line: &[u8], axis: &Axis, out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::across(line, axis, out) {
        return;
    }
    scalar::across(line, axis, 0, out);
}

/// Takes pixels apart into their channels.
pub(super) fn split<const C: usize>(pixels: &[[u8; C]], parts: &mut [&mut [u8]; C]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::split(pixels, parts) {
        return;
    }
    scalar::split(pixels, parts);
}

/// Puts channels together to pixels.
pub(super) fn join<const C: usize>(parts: &[&[u8]; C], pixels: &mut [[u8; C]]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::join(parts, pixels) {
        return;
    }
    scalar::join(parts, pixels);
}

/// Multiplies the colours of pixels by their alpha.
pub(super) fn multiply_alpha(pixels: &mut [[u8; 4]]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::multiply_alpha(pixels) {
        return;
    }
    scalar::multiply_alpha(pixels);
}

/// The passes without special instructions: what they do, and what the others are compared with.
pub(super) mod scalar {
    use super::Axis;

    /// From column `first` on.
    pub(crate) fn down(rows: &[&[u8]], weights: &[i16], bits: u32, first: usize, out: &mut [u8]) {
        let half = 1i32 << bits >> 1;
        for (column, out) in out.iter_mut().enumerate().skip(first) {
            let mut sum = half;
            for (row, &weight) in rows.iter().zip(weights) {
                sum += i32::from(row.get(column).copied().unwrap_or_default()) * i32::from(weight);
            }
            *out = (sum >> bits).clamp(0, 255) as u8;
        }
    }

    /// From sample `first` of the target on.
    pub(crate) fn across(line: &[u8], axis: &Axis, first: usize, out: &mut [u8]) {
        let half = 1i32 << axis.bits >> 1;
        for (out, (start, weights)) in out.iter_mut().zip(axis.padded()).skip(first) {
            let samples = line.get(start..).unwrap_or_default();
            let sum: i32 = samples.iter().zip(weights).map(|(&sample, &w)| i32::from(sample) * i32::from(w)).sum();
            *out = ((sum + half) >> axis.bits).clamp(0, 255) as u8;
        }
    }

    #[inline(always)]
    pub(crate) fn split<const C: usize>(pixels: &[[u8; C]], parts: &mut [&mut [u8]; C]) {
        let count = parts.iter().map(|part| part.len()).min().unwrap_or(0).min(pixels.len());
        for (channel, part) in parts.iter_mut().enumerate() {
            for (place, pixel) in part[..count].iter_mut().zip(&pixels[..count]) {
                *place = pixel[channel];
            }
        }
    }

    #[inline(always)]
    pub(crate) fn join<const C: usize>(parts: &[&[u8]; C], pixels: &mut [[u8; C]]) {
        let count = parts.iter().map(|part| part.len()).min().unwrap_or(0).min(pixels.len());
        let parts: [&[u8]; C] = parts.map(|part| &part[..count]);
        for (index, pixel) in pixels[..count].iter_mut().enumerate() {
            *pixel = std::array::from_fn(|channel| parts[channel][index]);
        }
    }

    pub(crate) fn multiply_alpha(pixels: &mut [[u8; 4]]) {
        for [r, g, b, alpha] in pixels {
            let alpha = *alpha;
            for color in [r, g, b] {
                *color = times(*color, alpha);
            }
        }
    }

    /// `color` times `alpha` / 255, rounded.
    pub(crate) fn times(color: u8, alpha: u8) -> u8 {
        let product = u32::from(color) * u32::from(alpha) + 128;
        ((product + (product >> 8)) >> 8) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::super::weights::Span;
    use super::*;

    fn noise(bytes: usize, mut seed: u32) -> Vec<u8> {
        (0..bytes)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // A third each of black, white and anything: sums that leave the range on both sides.
                [0, 255, (seed >> 24) as u8][(seed >> 16) as usize % 3]
            })
            .collect()
    }

    #[test]
    fn every_machine_computes_the_same() {
        for width in [1, 5, 31, 32, 33, 63, 64, 200, 257] {
            for (samples, target) in [(1u32, 3u32), (10, 10), (9, 2), (40, 13), (300, 7), (5, 60)] {
                let axis = Axis::new(&[Span { target: 0..target, start: 0.0, length: f64::from(samples) }], samples);
                let source: Vec<Vec<u8>> = (0..samples).map(|row| noise(width, row)).collect();
                for index in 0..axis.len() {
                    let rows: Vec<&[u8]> = source[axis.window(index)].iter().map(Vec::as_slice).collect();
                    let (mut a, mut b) = (vec![1; width], vec![2; width]);
                    down(&rows, axis.weights(index), axis.bits, &mut a);
                    scalar::down(&rows, axis.weights(index), axis.bits, 0, &mut b);
                    assert_eq!(a, b, "down {samples} to {target}, {width} wide");
                }
            }
            let line = {
                let mut line = noise(width, 9);
                line.resize(width + 512, 77);
                line
            };
            for target in [1, 2, 3, 4, 7, 50, width as u32 * 3] {
                let whole = width as f64;
                let axis = Axis::new(&[Span { target: 0..target, start: 0.0, length: whole }], width as u32);
                let (mut a, mut b) = (vec![1; target as usize], vec![2; target as usize]);
                across(&line, &axis, &mut a);
                scalar::across(&line, &axis, 0, &mut b);
                assert_eq!(a, b, "across {width} to {target}");
            }
            let mut a: Vec<[u8; 4]> = noise(width * 4, 3).as_chunks::<4>().0.to_vec();
            let mut b = a.clone();
            multiply_alpha(&mut a);
            scalar::multiply_alpha(&mut b);
            assert_eq!(a, b);
        }
    }
}
