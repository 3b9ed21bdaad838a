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

/// One plane of a picture, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaneJob {
    /// The picture in pixels.
    pub(crate) whole: (u32, u32),
    /// The plane in samples, the last ones perhaps only in part.
    pub(crate) extent: (f64, f64),
    /// The part of the picture that is resized, in pixels.
    pub(crate) area: Area,
    /// What the picture becomes, in pixels.
    pub(crate) size: (u32, u32),
    pub(crate) density: Density,
}

/// How many samples a resized plane has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Density {
    /// One for each pixel.
    Full,
    /// One for two by two pixels; at an odd side the last one stands for one pixel (the first, on an axis that is mirrored afterwards).
    Half { mirrored: (bool, bool) },
}

impl PlaneJob {
    /// Width and height of the resized plane.
    pub(crate) fn target(&self) -> (u32, u32) {
        match self.density {
            Density::Full => self.size,
            Density::Half { .. } => (self.size.0.div_ceil(2), self.size.1.div_ceil(2)),
        }
    }

    /// Samples across and down, those counted that are there only in part.
    fn used(&self) -> (u32, u32) {
        ((self.extent.0.ceil() as u32).max(1), (self.extent.1.ceil() as u32).max(1))
    }

    /// What becomes of both axes, in samples of the plane.
    fn spans(&self) -> (Vec<Span>, Vec<Span>) {
        let spans = |pixels: u32, start: f64, length: f64, mirrored: Option<bool>| match mirrored {
            None => vec![Span { target: 0..pixels, start, length }],
            Some(mirrored) => half_spans(pixels, start, length, mirrored),
        };
        let mirrored = match self.density {
            Density::Full => (None, None),
            Density::Half { mirrored: (across, down) } => (Some(across), Some(down)),
        };
        let across = spans(self.size.0, self.area.x, self.area.width, mirrored.0);
        let down = spans(self.size.1, self.area.y, self.area.height, mirrored.1);
        let used = self.used();
        (
            in_samples(&across, self.extent.0 / f64::from(self.whole.0), used.0),
            in_samples(&down, self.extent.1 / f64::from(self.whole.1), used.1),
        )
    }

    /// Whether the plane stays as it is.
    fn is_copy(&self) -> bool {
        let (across, down) = self.spans();
        let stays = |spans: &[Span], samples: u32| matches!(spans, [span] if span.target == (0..samples) && span.start == 0.0 && span.length == f64::from(samples));
        stays(&across, self.used().0) && stays(&down, self.used().1)
    }
}

/// Resizes `area` (in pixels of a picture of `whole`) of the source to `size`.
pub(crate) fn resize(
    source: &Source<'_>,
    area: &Area,
    whole: (u32, u32),
    size: (u32, u32),
    scratch: &mut Scratch,
) -> Result<Raster, Error> {
    let job = PlaneJob { whole, extent: source.extent, area: *area, size, density: Density::Full };
    resize_plane(source, &job, scratch)
}

/// Resizes a plane that is there as a whole.
pub(crate) fn resize_plane(source: &Source<'_>, job: &PlaneJob, scratch: &mut Scratch) -> Result<Raster, Error> {
    let (across, down) = job.spans();
    resize_spans(source, job.used(), job.target(), &across, &down, scratch)
}

/// The spans of an axis of `pixels`, halved.
fn half_spans(pixels: u32, start: f64, length: f64, mirrored: bool) -> Vec<Span> {
    let (pairs, odd) = (pixels / 2, pixels % 2);
    let unit = length / f64::from(pixels);
    let lead = if mirrored { odd } else { 0 };
    let middle = start + f64::from(lead) * unit;
    let mut spans = Vec::with_capacity(2);
    let single = |at, start| Span { target: at..at + 1, start, length: unit };
    if mirrored && odd == 1 {
        spans.push(single(0, start));
    }
    if pairs > 0 {
        spans.push(Span { target: lead..lead + pairs, start: middle, length: f64::from(2 * pairs) * unit });
    }
    if !mirrored && odd == 1 {
        spans.push(single(pairs, start + f64::from(2 * pairs) * unit));
    }
    spans
}

fn resize_spans(
    source: &Source<'_>,
    used: (u32, u32),
    size: (u32, u32),
    across: &[Span],
    down: &[Span],
    scratch: &mut Scratch,
) -> Result<Raster, Error> {
    let is_too_small = used.0 as usize > source.stride || used.1 as usize > source.rows;
    if is_too_small || source.data.len() < source.stride * source.rows * source.channels {
        return Err(Error::internal("a plane is smaller than its sides"));
    }
    let mut out = Raster::new(&mut scratch.buffers, size.0, size.1, source.channels);
    let mut resampler = Resampler::new(across, down, used, source.channels, &mut scratch.buffers);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spans_of_a_halved_axis_follow_each_other() {
        for pixels in 1..8 {
            for mirrored in [false, true] {
                let spans = half_spans(pixels, 3.0, 20.0, mirrored);
                let (mut target, mut source) = (0, 3.0);
                for span in &spans {
                    assert_eq!(span.target.start, target, "{pixels} {mirrored}");
                    assert!((span.start - source).abs() < 1e-9, "{pixels} {mirrored}");
                    (target, source) = (span.target.end, span.start + span.length);
                }
                assert_eq!(target, pixels.div_ceil(2));
                assert!((source - 23.0).abs() < 1e-9, "{pixels} {mirrored}");
            }
        }
    }
}
