//! One row of the target at a time: the rows in reach are added up (down), the sum is taken apart into its channels, and each of them is
//! brought to its width (across). Whatever the kind of picture, two kernels do all the work.

use std::ops::Range;

use super::passes::{across, down, join, split};
use super::weights::{Axis, Span, axis_bytes, window_samples};
use crate::fit::Area;
use crate::scratch::Buffers;

/// What is resized to what: `area` of a picture of `whole` pixels to `size`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) whole: (u32, u32),
    pub(crate) channels: usize,
    pub(crate) area: Area,
    pub(crate) size: (u32, u32),
}

impl Job {
    /// Bytes that a [`Resampler`] of this job holds, at most.
    pub(crate) fn resampler_bytes(&self) -> u64 {
        let (across, down) = self.spans();
        Resampler::bytes(&across, &down, self.whole, self.channels)
    }

    fn spans(&self) -> ([Span; 1], [Span; 1]) {
        let span = |size, start, length| [Span { target: 0..size, start, length }];
        (span(self.size.0, self.area.x, self.area.width), span(self.size.1, self.area.y, self.area.height))
    }
}

/// Rows of pixels, or a ring of rows: row `i` is at `i % rows`.
pub(super) struct View<'a> {
    pub(super) data: &'a [u8],
    /// Bytes from one row to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
}

impl<'a> View<'a> {
    fn row(&self, index: usize) -> &'a [u8] {
        let start = index % self.rows.max(1) * self.stride;
        self.data.get(start..start + self.stride).unwrap_or_default()
    }
}

/// Makes rows of a target.
pub(super) struct Resampler {
    across: Axis,
    down: Axis,
    channels: usize,
    /// Columns of the source that the target depends on.
    columns: Range<usize>,
    /// Rows of the source that the target depends on.
    rows: Range<usize>,
    /// The sum of rows, as it is stored in the source; then each channel by itself; then each at its new width.
    line: Vec<u8>,
    parts: Vec<u8>,
    made: Vec<u8>,
}

impl Resampler {
    /// For a source of `used` samples (across, down) and spans in its samples.
    pub(super) fn new(
        across: &[Span],
        down: &[Span],
        used: (u32, u32),
        channels: usize,
        buffers: &mut Buffers,
    ) -> Self {
        let (across, down) = (Axis::new(across, used.0), Axis::new(down, used.1));
        let columns = across.reach();
        let line = (columns.end + across.stride()) * channels;
        Self {
            line: buffers.take(line),
            parts: buffers.take(if channels > 1 { line } else { 0 }),
            made: buffers.take(if channels > 1 { across.len() * channels } else { 0 }),
            rows: down.reach(),
            across,
            down,
            channels,
            columns,
        }
    }

    /// Bytes that it holds for a source of `used` samples, at most.
    pub(super) fn bytes(across: &[Span], down: &[Span], used: (u32, u32), channels: usize) -> u64 {
        let (width, channels) = (u64::from(used.0), channels as u64);
        let target = |spans: &[Span]| spans.last().map_or(0, |span| span.target.end);
        let length = |spans: &[Span]| spans.iter().map(|span| span.length).sum::<f64>();
        // Of two spans one may be a little coarser than both together.
        let window = |spans: &[Span], samples| {
            window_samples(length(spans) / f64::from(target(spans).max(1)) + 1.0, samples) as u64
        };
        let axes = axis_bytes(target(across), length(across), used.0) + axis_bytes(target(down), length(down), used.1);
        let (padding, references) = (window(across, used.0) + 64, window(down, used.1) * 16);
        axes + 2 * (width + padding) * channels + u64::from(target(across)) * channels + references
    }

    /// For interleaved pixels.
    pub(super) fn for_pixels(job: &Job, buffers: &mut Buffers) -> Self {
        let (across, down) = job.spans();
        Self::new(&across, &down, job.whole, job.channels, buffers)
    }

    /// The rows of the source that make row `index` of the target.
    pub(super) fn rows_of(&self, index: usize) -> Range<usize> {
        self.down.window(index)
    }

    /// The most rows of the source that are needed at once.
    pub(super) fn rows_in_reach(&self) -> usize {
        self.down.longest()
    }

    /// Whether any row of the target depends on this row of the source.
    pub(super) fn needs_row(&self, index: usize) -> bool {
        self.rows.contains(&index)
    }

    /// Makes row `index` of the target.
    pub(super) fn make_row(&mut self, index: usize, source: &View<'_>, out: &mut [u8]) {
        let bytes = self.columns.start * self.channels..self.columns.end * self.channels;
        let rows: Vec<&[u8]> =
            self.rows_of(index).map(|row| source.row(row).get(bytes.clone()).unwrap_or_default()).collect();
        let Some(line) = self.line.get_mut(bytes) else { return };
        down(&rows, self.down.weights(index), self.down.bits, line);
        match self.channels {
            1 => across(&self.line, &self.across, out),
            2 => self.make_channels::<2>(out),
            3 => self.make_channels::<3>(out),
            _ => self.make_channels::<4>(out),
        }
    }

    fn make_channels<const C: usize>(&mut self, out: &mut [u8]) {
        let length = self.line.len() / C;
        let mut parts = self.parts.chunks_exact_mut(length.max(1));
        let mut parts: [&mut [u8]; C] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        let columns = self.columns.clone();
        let mut places = parts.each_mut().map(|part| part.get_mut(columns.clone()).unwrap_or_default());
        split(self.line.as_chunks::<C>().0.get(columns).unwrap_or_default(), &mut places);
        let width = self.across.len();
        for (part, made) in parts.iter().zip(self.made.chunks_exact_mut(width.max(1))) {
            across(part, &self.across, made);
        }
        let mut made = self.made.chunks_exact(width.max(1));
        let made: [&[u8]; C] = std::array::from_fn(|_| made.next().unwrap_or_default());
        join(&made, out.as_chunks_mut::<C>().0);
    }

    pub(super) fn give_back(self, buffers: &mut Buffers) {
        [self.line, self.parts, self.made].into_iter().for_each(|buffer| buffers.give(buffer));
    }
}
