//! The samples of one component at the chosen scale, and what they and the coefficients weigh.

use super::segments::{Component, Frame};
use super::store::store_bytes;

/// The samples of one component, 8 bits each, row by row; rows and columns are padded to whole blocks.
#[derive(Debug)]
pub struct Plane {
    pub(crate) samples: Vec<u8>,
    /// Samples from one row to the next.
    pub(crate) stride: usize,
    /// Rows that are stored.
    pub(crate) rows: usize,
    /// The true extent in samples; fractions are meant (5 px at 3/8 are 1.875 samples).
    pub(crate) extent: (f64, f64),
}

impl Plane {
    /// All samples, with the padding: [`Plane::stride`] of them a row.
    #[must_use]
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// Samples from one row to the next.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Samples of a row that belong to the picture, the last one perhaps only in part.
    #[must_use]
    pub fn width(&self) -> usize {
        self.extent.0.ceil() as usize
    }

    /// Rows that belong to the picture, the last one perhaps only in part.
    #[must_use]
    pub fn height(&self) -> usize {
        self.extent.1.ceil() as usize
    }

    /// The true extent in samples; fractions are meant (5 px at 3/8 are 1.875 samples).
    #[must_use]
    pub fn extent(&self) -> (f64, f64) {
        self.extent
    }
}

/// Rows of units of a scan in all planes: the whole picture, or a part of its height that nobody else writes.
#[derive(Default)]
pub(super) struct Strip<'p> {
    /// The row of units with which it begins.
    pub(super) first_row: u32,
    pub(super) planes: [Lines<'p>; 4],
}

/// Rows of samples of one plane.
#[derive(Default)]
pub(super) struct Lines<'p> {
    pub(super) samples: &'p mut [u8],
    /// Samples from one row to the next.
    pub(super) stride: usize,
}

impl<'p> Strip<'p> {
    /// All of the planes.
    pub(super) fn whole(planes: &'p mut [Plane]) -> Self {
        let mut strip = Self::default();
        for (lines, plane) in strip.planes.iter_mut().zip(planes) {
            *lines = Lines { samples: &mut plane.samples, stride: plane.stride };
        }
        strip
    }

    /// Cuts the first `rows` rows of units off. `heights` are the rows of samples of a unit in each plane.
    pub(super) fn split_off(&mut self, rows: u32, heights: [usize; 4]) -> Self {
        let mut above = Self { first_row: self.first_row, ..Self::default() };
        for ((lines, below), height) in above.planes.iter_mut().zip(&mut self.planes).zip(heights) {
            let count = rows as usize * height * below.stride;
            let samples = std::mem::take(&mut below.samples);
            let (first, rest) = samples.split_at_mut(count.min(samples.len()));
            *lines = Lines { samples: first, stride: below.stride };
            below.samples = rest;
        }
        self.first_row += rows;
        above
    }
}

/// Stride and rows of the plane of `component` at `scale` eighths.
pub(super) fn padded_size(frame: &Frame, component: &Component, scale: u32) -> (usize, usize) {
    let (across, down) = frame.padded_blocks(component);
    ((across * scale) as usize, (down * scale) as usize)
}

/// The true extent of the plane of `component` at `scale` eighths.
pub(super) fn extent(frame: &Frame, component: &Component, scale: u32) -> (f64, f64) {
    let eighths = f64::from(scale) / 8.0;
    (
        f64::from(frame.width) * f64::from(component.across) / f64::from(frame.max_across()) * eighths,
        f64::from(frame.height) * f64::from(component.down) / f64::from(frame.max_down()) * eighths,
    )
}

/// Bytes of all planes at the given scales.
pub(crate) fn plane_bytes(frame: &Frame, scales: &[u32; 4]) -> u64 {
    frame
        .components()
        .iter()
        .zip(scales)
        .map(|(component, &scale)| {
            let (stride, rows) = padded_size(frame, component, scale);
            stride as u64 * rows as u64
        })
        .sum()
}

/// Bytes of the coefficients that a progressive picture keeps at the given scales; 0 for baseline.
pub(crate) fn coefficient_bytes(frame: &Frame, scales: &[u32; 4]) -> u64 {
    if !frame.progressive {
        return 0;
    }
    frame.components().iter().zip(scales).map(|(component, &scale)| store_bytes(frame, component, scale)).sum()
}
