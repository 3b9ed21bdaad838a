//! The weights of one axis: which samples of the source make a sample of the target, and with what share.
//!
//! Lanczos with three lobes, stretched by the ratio when a picture gets smaller. The shares of a sample are whole numbers that add up to exactly
//! `1 << bits`, so a plain area stays what it is, and every machine computes the same.

use std::f64::consts::PI;
use std::ops::Range;

/// Lobes of the filter on each side.
const LOBES: f64 = 3.0;
/// Weights are stored in multiples of this: what the widest kernel takes at once.
pub(super) const GROUP: usize = 16;
/// No weight of a sample is larger than this, relative to the ratio: at the border of a picture the lobes beyond it are missing.
const LARGEST_WEIGHT: f64 = 1.5;
/// Sums of 255 times weights stay far below 31 bits.
const MOST_BITS: u32 = 20;

/// A stretch of one axis: these samples of the target come from this stretch of the source, in its samples.
pub(crate) struct Span {
    pub(crate) target: Range<u32>,
    pub(crate) start: f64,
    pub(crate) length: f64,
}

impl Span {
    /// Samples of the source for each of the target.
    pub(crate) fn scale(&self) -> f64 {
        self.length / f64::from(self.target.end - self.target.start)
    }
}

/// The weights of all samples of a target axis.
#[derive(Debug)]
pub(crate) struct Axis {
    /// For each sample of the target: the first sample of the source, and how many count.
    windows: Vec<(u32, u32)>,
    /// `stride` weights for each sample of the target; those beyond its window are 0.
    weights: Vec<i16>,
    stride: usize,
    /// Samples of the longest window, before weights of 0 at its ends were left out.
    longest: usize,
    /// Fraction bits of the weights.
    pub(super) bits: u32,
}

impl Axis {
    /// The weights for these spans of a source of `samples` samples. The spans follow each other, and together are the target.
    pub(crate) fn new(spans: &[Span], samples: u32) -> Self {
        let target: usize = spans.iter().map(|span| span.target.len()).sum();
        let (least, most) = spans.iter().map(Span::scale).fold((f64::MAX, 1.0), |(a, b), s| (s.min(a), s.max(b)));
        let bits = ((f64::from(i16::MAX) / LARGEST_WEIGHT * least.max(1.0)).log2() as u32).min(MOST_BITS);
        let stride = window_samples(most, samples).next_multiple_of(GROUP);
        let mut axis =
            Axis { windows: Vec::with_capacity(target), weights: vec![0; target * stride], stride, longest: 0, bits };
        let mut shares = Vec::with_capacity(stride);
        let mut rows = axis.weights.chunks_exact_mut(stride.max(1));
        for span in spans {
            let scale = span.scale();
            for index in 0..span.target.len() {
                let center = span.start + (index as f64 + 0.5) * scale;
                let Some(row) = rows.next() else { break };
                axis.windows.push(fill(row, center, scale.max(1.0), samples, bits, &mut shares));
                axis.longest = axis.longest.max(shares.len());
            }
        }
        axis
    }

    /// Samples of the target.
    pub(crate) fn len(&self) -> usize {
        self.windows.len()
    }

    /// The samples of the source that target sample `index` depends on.
    pub(crate) fn window(&self, index: usize) -> Range<usize> {
        self.windows.get(index).map_or(0..0, |&(start, count)| start as usize..(start + count) as usize)
    }

    /// The weights of target sample `index`, as many as its window has samples.
    pub(super) fn weights(&self, index: usize) -> &[i16] {
        let start = index * self.stride;
        self.weights.get(start..start + self.window(index).len()).unwrap_or_default()
    }

    /// The first source sample of each target sample, with its weights and zeros up to [`Axis::stride`].
    pub(super) fn padded(&self) -> impl ExactSizeIterator<Item = (usize, &[i16])> {
        self.windows.iter().map(|&(start, _)| start as usize).zip(self.weights.chunks_exact(self.stride.max(1)))
    }

    /// The windows (first sample, samples) and the weights, [`Axis::stride`] for each window.
    pub(super) fn parts(&self) -> (&[(u32, u32)], &[i16]) {
        (&self.windows, &self.weights)
    }

    /// Samples that a kernel may read from the first one of a window on; a multiple of [`GROUP`].
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// The source samples that any target sample depends on.
    pub(crate) fn reach(&self) -> Range<usize> {
        let start = self.windows.iter().map(|window| window.0).min().unwrap_or(0);
        let end = self.windows.iter().map(|window| window.0 + window.1).max().unwrap_or(0);
        start as usize..end as usize
    }

    /// The most samples that lie between the first that a target sample may depend on and the last.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }
}

/// The most samples of a window at `scale` source samples for a target sample.
pub(crate) fn window_samples(scale: f64, samples: u32) -> usize {
    ((2.0 * LOBES * scale.max(1.0)).ceil() as usize + 1).min(samples as usize)
}

/// Bytes of an axis of `target` samples made from `length` of `samples` source samples, at most.
pub(crate) fn axis_bytes(target: u32, length: f64, samples: u32) -> u64 {
    // Of two spans the shorter may be a little coarser than the axis.
    let stride = window_samples(length / f64::from(target.max(1)) + 1.0, samples).next_multiple_of(GROUP) as u64;
    u64::from(target) * (stride * 2 + 8) + stride * 16
}

/// Writes the weights of the sample around `center`; gives its first source sample and how many count.
fn fill(row: &mut [i16], center: f64, scale: f64, samples: u32, bits: u32, shares: &mut Vec<f64>) -> (u32, u32) {
    let last = f64::from(samples) - 1.0;
    let first = (center - LOBES * scale - 0.5).ceil().clamp(0.0, last);
    let end = (center + LOBES * scale - 0.5).floor().clamp(first, last);
    shares.clear();
    let count = ((end - first) as usize + 1).min(row.len());
    shares.extend((0..count).map(|index| lanczos((first + index as f64 + 0.5 - center) / scale)));
    let sum: f64 = shares.iter().sum();
    let one = f64::from(1u32 << bits);
    // Never so for a window that holds its own centre.
    let unit = if sum.abs() > 1e-6 { one / sum } else { one / shares.len() as f64 };
    let mut rest = 1i32 << bits;
    let mut largest = 0;
    for (index, (weight, share)) in row.iter_mut().zip(&*shares).enumerate() {
        *weight = (share * unit).round() as i16;
        rest -= i32::from(*weight);
        if shares.get(largest).is_some_and(|most| share > most) {
            largest = index;
        }
    }
    if let Some(weight) = row.get_mut(largest) {
        *weight = (i32::from(*weight) + rest).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    }
    // What counts nothing is not read.
    let leading = row.iter().take(count).take_while(|&&weight| weight == 0).count().min(count - 1);
    row.copy_within(leading.., 0);
    let filled = row.len() - leading;
    row.get_mut(filled..).unwrap_or_default().fill(0);
    let used = row.iter().take(count).rposition(|&weight| weight != 0).map_or(1, |at| at + 1);
    (first as u32 + leading as u32, used as u32)
}

fn lanczos(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else if x.abs() < LOBES {
        let angle = PI * x;
        LOBES * angle.sin() * (angle / LOBES).sin() / (angle * angle)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(start: f64, length: f64, target: u32, samples: u32) -> Axis {
        Axis::new(&[Span { target: 0..target, start, length }], samples)
    }

    #[test]
    fn weights_add_up_to_one_and_stay_inside_the_source() {
        for (samples, target) in [(1, 1), (1, 9), (9, 1), (100, 99), (3640, 800), (16_384, 3), (7, 4000), (800, 800)] {
            for (start, length) in [(0.0, 1.0), (0.3, 0.4), (0.95, 0.05)] {
                let whole = f64::from(samples);
                let axis = axis(start * whole, length * whole, target, samples);
                assert_eq!(axis.len(), target as usize);
                for index in 0..axis.len() {
                    let sum: i32 = axis.weights(index).iter().map(|&weight| i32::from(weight)).sum();
                    assert_eq!(sum, 1 << axis.bits, "{samples} to {target} at {index}");
                    let window = axis.window(index);
                    assert!(!window.is_empty() && window.end <= samples as usize, "{window:?}");
                }
                assert!(
                    (axis_bytes(target, length * whole, samples))
                        >= (axis.weights.len() * 2 + target as usize * 8) as u64
                );
            }
        }
    }

    #[test]
    fn the_same_size_is_one_weight() {
        let axis = axis(3.0, 5.0, 5, 20);
        for index in 0..5 {
            assert_eq!((axis.window(index), axis.weights(index).len()), (index + 3..index + 4, 1));
        }
    }
}
