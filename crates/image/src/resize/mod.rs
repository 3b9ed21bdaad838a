//! Lanczos3 on planes and pixels. The geometry comes from `fit.rs`; here it is only carried out, by two kernels of our own.
//!
//! ```text
//! rows of the source ─ down (bytes, whatever they are) ─▶ one row ─ its channels, one by one ─ across ─▶ a row of the target
//! ```
//!
//! A picture that is there as a whole goes through [`resize`], one whose rows arrive one by one through [`Rows`]; the result is the same.

mod alpha;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod passes;
mod resampler;
mod rows;
mod weights;

use crate::Error;
use crate::fit::Area;
use crate::raster::Raster;
use crate::scratch::Scratch;

pub(crate) use alpha::{Alpha, change_alpha};
pub(crate) use resampler::Job;
pub(crate) use rows::Rows;

use resampler::{Resampler, View};
use weights::Span;

/// Where the pixels come from: rows that may be longer than the picture, and an extent that may end within a sample.
pub(crate) struct Source<'a> {
    pub(crate) data: &'a [u8],
    /// Pixels from one row to the next.
    pub(crate) stride: usize,
    /// Rows that are stored.
    pub(crate) rows: usize,
    /// The part that is the picture.
    pub(crate) extent: (f64, f64),
    pub(crate) channels: usize,
}

/// Resizes `area` (in pixels of a picture of `whole`) of the source to `size`.
pub(crate) fn resize(
    source: &Source<'_>,
    area: &Area,
    whole: (u32, u32),
    size: (u32, u32),
    scratch: &mut Scratch,
) -> Result<Raster, Error> {
    let across = [Span { target: 0..size.0, start: area.x, length: area.width }];
    let down = [Span { target: 0..size.1, start: area.y, length: area.height }];
    resize_spans(source, whole, size, &across, &down, scratch)
}

/// Resizes to half of `size`, so that each sample stands for two by two pixels of it; at an odd side the last sample stands for one pixel
/// (the first, on an axis that is mirrored afterwards).
pub(crate) fn resize_to_half(
    source: &Source<'_>,
    area: &Area,
    whole: (u32, u32),
    size: (u32, u32),
    mirrored: (bool, bool),
    scratch: &mut Scratch,
) -> Result<Raster, Error> {
    let across = half_spans(size.0, area.x, area.width, mirrored.0);
    let down = half_spans(size.1, area.y, area.height, mirrored.1);
    resize_spans(source, whole, (size.0.div_ceil(2), size.1.div_ceil(2)), &across, &down, scratch)
}

/// The spans of an axis of `pixels`, halved.
fn half_spans(pixels: u32, start: f64, length: f64, mirrored: bool) -> Vec<Span> {
    let (pairs, odd) = (pixels / 2, pixels % 2);
    let unit = length / f64::from(pixels);
    let lead = if mirrored { odd } else { 0 };
    let middle = start + f64::from(lead) * unit;
    let mut spans = Vec::with_capacity(2);
    if pairs > 0 {
        spans.push(Span { target: lead..lead + pairs, start: middle, length: f64::from(2 * pairs) * unit });
    }
    if odd == 1 {
        let (at, from) = if mirrored { (0, start) } else { (pairs, start + f64::from(2 * pairs) * unit) };
        spans.push(Span { target: at..at + 1, start: from, length: unit });
    }
    spans
}

fn resize_spans(
    source: &Source<'_>,
    whole: (u32, u32),
    size: (u32, u32),
    across: &[Span],
    down: &[Span],
    scratch: &mut Scratch,
) -> Result<Raster, Error> {
    let (stride, rows) = (source.stride as u32, source.rows as u32);
    if stride == 0 || rows == 0 || source.data.len() < source.stride * source.rows * source.channels {
        return Err(Error::internal("a plane is smaller than its sides"));
    }
    let used = ((source.extent.0.ceil() as u32).clamp(1, stride), (source.extent.1.ceil() as u32).clamp(1, rows));
    let across = in_samples(across, source.extent.0 / f64::from(whole.0), used.0);
    let down = in_samples(down, source.extent.1 / f64::from(whole.1), used.1);
    let mut out = Raster::new(&mut scratch.buffers, size.0, size.1, source.channels);
    let mut resampler = Resampler::new(&across, &down, used, source.channels, &mut scratch.buffers);
    let view = View { data: source.data, stride: source.stride * source.channels, rows: source.rows };
    let row_bytes = out.row_bytes();
    for (index, row) in out.data.chunks_exact_mut(row_bytes).enumerate() {
        resampler.make_row(index, &view, row);
    }
    resampler.give_back(&mut scratch.buffers);
    Ok(out)
}

/// Spans of the picture as spans of a plane with `unit` samples for a pixel.
fn in_samples(spans: &[Span], unit: f64, samples: u32) -> Vec<Span> {
    spans
        .iter()
        .map(|span| {
            let (start, length) = clamp(span.start * unit, span.length * unit, f64::from(samples));
            Span { target: span.target.clone(), start, length }
        })
        .collect()
}

/// Keeps rounding errors from leaving the source.
fn clamp(start: f64, length: f64, most: f64) -> (f64, f64) {
    let start = start.clamp(0.0, most);
    let length = length.min(most - start);
    // An area thinner than a sample still needs one.
    if length <= 0.0 { ((most - 1.0).max(0.0), 1.0) } else { (start, length) }
}
