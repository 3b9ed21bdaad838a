//! A key frame, one row of macroblocks after the other: what is decoded goes on at once, in bands of 16 rows of luma and 8 of each chroma.
//!
//! ```text
//! modes ──▶ prediction ─┐
//! tokens ─▶ transform ──┴▶ square of a macroblock ─▶ band ─ loop filter ─▶ take
//! ```
//!
//! Prediction within a key frame looks at samples before the filter, so the filter changes nothing but the picture: it may be left out where
//! the picture gets so much smaller that nobody would see it.
//!
//! Errors: [`Error::Damaged`] when data ends early, [`Error::Cancelled`], and what `take` says.

use super::bits::Decisions;
use super::filter::{Filter, KEPT_ROWS, Strength};
use super::header::Head;
use super::modes::{self, Luma, Mode};
use super::predict::{ABOVE, ChromaSquare, LumaSquare};
use super::tokens::{Content, Edge, Residue};
use super::transform::differences;
use crate::Error;
use crate::scratch::Buffers;

/// Samples along the side of a macroblock.
const SIDE: usize = 16;

/// Whether the file's loop filter is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopFilter {
    Apply,
    LeaveOut,
}

/// What is decoded.
pub(super) struct Job<'a> {
    pub(super) stream: &'a [u8],
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    pub(super) filter: LoopFilter,
    pub(super) cancelled: &'a dyn Fn() -> bool,
}

/// Finished rows: of luma as wide as the picture, of blue and red difference half as wide and half as many.
pub(super) struct Band<'a> {
    planes: [&'a [u8]; 3],
    widths: [(usize, usize); 3],
}

impl<'a> Band<'a> {
    /// The rows of a plane: 0 luma, 1 blue and 2 red difference.
    pub(super) fn rows(&self, plane: usize) -> impl Iterator<Item = &'a [u8]> {
        let (stride, width) = self.widths[plane];
        self.planes[plane].chunks_exact(stride).map(move |row| &row[..width])
    }
}

/// Bytes that [`decode`] holds for a picture of this width, at most.
pub(super) fn working_bytes(width: u32) -> u64 {
    let across = u64::from(width.div_ceil(SIDE as u32));
    let band = (SIDE + KEPT_ROWS) as u64 * across * SIDE as u64 * 3 / 2;
    let above = across * 2 * SIDE as u64 + 64;
    band + above + across * (size_of::<Column>() + size_of::<Strength>()) as u64
}

/// What a macroblock leaves for the one below it.
#[derive(Debug, Clone, Copy, Default)]
struct Column {
    modes: [Mode; 4],
    edge: Edge,
}

/// Rows of one plane that are not finished: some of the row of macroblocks before, which the filter still reaches, then the current one.
struct Canvas {
    samples: Vec<u8>,
    stride: usize,
    /// Rows of a macroblock.
    side: usize,
    kept: usize,
    /// The lowest row of the macroblocks above, unfiltered, and some samples more.
    above: Vec<u8>,
}

/// Samples above and to the right of the last macroblock.
const ABOVE_RIGHT: usize = 4;

impl Canvas {
    fn new(across: usize, side: usize, buffers: &mut Buffers) -> Self {
        let (stride, kept) = (across * side, KEPT_ROWS * side / SIDE);
        let mut above = buffers.take(stride + ABOVE_RIGHT);
        above.fill(ABOVE);
        Self { samples: buffers.take(stride * (side + kept)), stride, side, kept, above }
    }

    /// Puts the samples of the macroblock in column `x` where they belong.
    #[inline(always)]
    fn put<'s, const N: usize>(&mut self, x: usize, samples: impl Iterator<Item = &'s [u8; N]>) {
        let start = x * N;
        let mut last = &[ABOVE; N];
        for (row, samples) in self.samples.chunks_exact_mut(self.stride).skip(self.kept).zip(samples) {
            if let Some(place) = row.get_mut(start..start + N) {
                place.copy_from_slice(samples);
            }
            last = samples;
        }
        if let Some(place) = self.above.get_mut(start..start + N) {
            place.copy_from_slice(last);
        }
    }

    /// The macroblock above the one in column `x`, with some samples more.
    #[inline(always)]
    fn above(&self, x: usize) -> &[u8] {
        self.above.get(x * self.side..).unwrap_or_default().get(..self.side + ABOVE_RIGHT).unwrap_or_default()
    }

    /// To the right of the picture its last sample goes on.
    fn end_row(&mut self) {
        let (picture, beyond) = self.above.split_at_mut(self.stride);
        beyond.fill(picture.last().copied().unwrap_or(ABOVE));
    }

    /// Keeps the last rows for the next row of macroblocks.
    fn keep(&mut self) {
        self.samples.copy_within(self.side * self.stride.., 0);
    }

    fn give_back(self, buffers: &mut Buffers) {
        buffers.give(self.samples);
        buffers.give(self.above);
    }
}

/// Decodes the frame, and gives it band by band to `take`.
pub(super) fn decode(
    job: &Job<'_>,
    buffers: &mut Buffers,
    take: &mut dyn FnMut(&Band<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let head = Head::read(job.stream)?;
    let across = job.size.0.div_ceil(SIDE as u32) as usize;
    let filter = Filter::new(&head, job.filter);
    let mut frame = Frame {
        planes: [SIDE, SIDE / 2, SIDE / 2].map(|side| Canvas::new(across, side, buffers)),
        columns: vec![Column::default(); across],
        strengths: vec![Strength::default(); if filter.is_some() { across } else { 0 }],
        residue: Residue::default(),
        luma: LumaSquare::new(),
        chroma: [ChromaSquare::new(), ChromaSquare::new()],
        head,
    };
    let result = frame.run(job, filter.as_ref(), take);
    frame.planes.into_iter().for_each(|canvas| canvas.give_back(buffers));
    result
}

struct Frame<'a> {
    head: Head<'a>,
    planes: [Canvas; 3],
    columns: Vec<Column>,
    /// Of the current row, if there is a filter.
    strengths: Vec<Strength>,
    residue: Residue,
    luma: LumaSquare,
    chroma: [ChromaSquare; 2],
}

impl Frame<'_> {
    fn run(
        &mut self,
        job: &Job<'_>,
        filter: Option<&Filter>,
        take: &mut dyn FnMut(&Band<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let cut = || Error::damaged("WebP picture data is missing");
        let down = job.size.1.div_ceil(SIDE as u32) as usize;
        let count = self.head.partitions.len();
        for y in 0..down {
            if (job.cancelled)() {
                return Err(Error::Cancelled);
            }
            let mut tokens = *self.head.partitions.get(y % count).ok_or_else(cut)?;
            self.decode_row(y, &mut tokens, filter);
            if tokens.are_over() || self.head.modes.are_over() {
                return Err(cut());
            }
            if let Some(partition) = self.head.partitions.get_mut(y % count) {
                *partition = tokens;
            }
            if let Some(filter) = filter {
                let [luma, blue, red] = &mut self.planes;
                filter.apply(y, &self.strengths, &mut luma.samples, [&mut blue.samples, &mut red.samples]);
            }
            take(&self.band(job.size, y, y + 1 == down, filter.is_some()))?;
            if filter.is_some() {
                self.planes.iter_mut().for_each(Canvas::keep);
            }
        }
        Ok(())
    }

    fn band(&self, size: (u32, u32), y: usize, is_last: bool, is_filtered: bool) -> Band<'_> {
        let sizes = [(size.0, size.1), (size.0.div_ceil(2), size.1.div_ceil(2))].map(|(w, h)| (w as usize, h as usize));
        let sizes = [sizes[0], sizes[1], sizes[1]];
        let rows = |plane: usize| {
            let (canvas, height) = (&self.planes[plane], sizes[plane].1);
            let late = if is_filtered { canvas.kept } else { 0 };
            let from = if y == 0 { canvas.kept } else { canvas.kept - late };
            let above = (y * canvas.side).saturating_sub(if y == 0 { 0 } else { late });
            let to = canvas.kept + canvas.side - if is_last { 0 } else { late };
            let to = to.min(from + height.saturating_sub(above));
            canvas.samples.get(from * canvas.stride..to * canvas.stride).unwrap_or_default()
        };
        Band {
            planes: std::array::from_fn(rows),
            widths: std::array::from_fn(|plane| (self.planes[plane].stride, sizes[plane].0)),
        }
    }

    fn decode_row(&mut self, y: usize, tokens: &mut Decisions<'_>, filter: Option<&Filter>) {
        let (mut left_modes, mut left_edge) = ([Mode::Mean; 4], Edge::default());
        self.luma.begin_row(y);
        self.chroma.iter_mut().for_each(|square| square.begin_row(y));
        for x in 0..self.columns.len() {
            let Some(column) = self.columns.get_mut(x) else { return };
            let block = modes::read(&mut self.head, &mut column.modes, &mut left_modes);
            let has_means = matches!(block.luma, Luma::Whole(_));
            let segment = &self.head.segments[block.segment & 3];
            let has_residue = if block.skipped {
                column.edge.clear(has_means);
                left_edge.clear(has_means);
                false
            } else {
                let probabilities = &self.head.tokens;
                self.residue.read(tokens, probabilities, segment, has_means, &mut column.edge, &mut left_edge)
            };
            if let (Some(filter), Some(strength)) = (filter, self.strengths.get_mut(x)) {
                *strength = filter.strength(segment, has_means, has_residue);
            }
            self.reconstruct(&block, (x, y), has_residue);
        }
        self.planes.iter_mut().for_each(Canvas::end_row);
    }

    /// Predicts a macroblock, adds what the file says of the difference, and puts it into the canvas.
    fn reconstruct(&mut self, block: &modes::Macroblock, (x, y): (usize, usize), has_residue: bool) {
        let [luma_canvas, chroma_canvases @ ..] = &mut self.planes;
        if x > 0 {
            self.luma.step();
        }
        self.luma.set_above(luma_canvas.above(x));
        let (blocks, content) = (&self.residue.blocks, &self.residue.content);
        match &block.luma {
            Luma::Whole(mode) => {
                self.luma.predict(*mode, (x, y));
                if has_residue {
                    for (index, (block, content)) in blocks.iter().zip(content).take(16).enumerate() {
                        if *content != Content::Nothing {
                            self.luma.add(index % 4, index / 4, &differences_of(block, *content));
                        }
                    }
                }
            }
            Luma::Blocks(modes) => {
                self.luma.spread_above_right();
                for (index, (mode, (block, content))) in modes.iter().zip(blocks.iter().zip(content)).enumerate() {
                    self.luma.predict_block(*mode, index % 4, index / 4);
                    if has_residue && *content != Content::Nothing {
                        self.luma.add(index % 4, index / 4, &differences_of(block, *content));
                    }
                }
            }
        }
        luma_canvas.put(x, self.luma.samples());
        for (part, (square, canvas)) in self.chroma.iter_mut().zip(chroma_canvases).enumerate() {
            if x > 0 {
                square.step();
            }
            square.set_above(canvas.above(x));
            square.predict(block.chroma, (x, y));
            if has_residue {
                let own = 16 + 4 * part;
                for (index, (block, content)) in blocks.iter().zip(content).skip(own).take(4).enumerate() {
                    if *content != Content::Nothing {
                        square.add(index % 2, index / 2, &differences_of(block, *content));
                    }
                }
            }
            canvas.put(x, square.samples());
        }
    }
}

#[inline(always)]
fn differences_of(block: &[i16; 16], content: Content) -> [[i16; 4]; 4] {
    match content {
        Content::All => differences(block),
        _ => [[block[0].wrapping_add(4) >> 3; 4]; 4],
    }
}
