//! The loop filter (RFC 6386, section 15): it smooths the edges of blocks where the step there is small enough to be an artefact.
//!
//! All edges are filtered by the same few functions over sixteen lanes, written so that the compiler makes vectors of them. A lane holds the
//! samples across an edge; where the edge stands upright, these are transposed on the way in and out.

use super::frame::LoopFilter;
use super::header::{FilterKind, Head, Segment};

/// Rows of luma above a row of macroblocks that its filter reads; of chroma half as many.
pub(super) const KEPT_ROWS: usize = 8;

/// How strongly a macroblock is filtered. A limit of 0 is not at all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Strength {
    /// The largest step across an edge that is smoothed: of the macroblock, and of the blocks in it.
    outer: u8,
    inner: u8,
    /// The largest step beside an edge that is smoothed.
    beside: u8,
    /// From this step on beside an edge there is detail, which is left alone.
    detail: u8,
}

/// The filter of a frame.
pub(super) struct Filter {
    kind: FilterKind,
    sharpness: u8,
}

/// Sixteen samples along an edge.
type Lane = [u8; 16];

impl Filter {
    /// The filter that the file asks for, if it asks for one and it is wanted.
    pub(super) fn new(head: &Head<'_>, wish: LoopFilter) -> Option<Self> {
        let any = head.segments.iter().any(|segment| segment.strength != [0; 2]);
        (any && wish == LoopFilter::Apply).then_some(Self { kind: head.filter, sharpness: head.sharpness })
    }

    /// For a macroblock of this segment, predicted as a whole (then it has a block of means) or not.
    pub(super) fn strength(&self, segment: &Segment, is_whole: bool, has_residue: bool) -> Strength {
        let [whole, by_block] = segment.strength;
        let level = if is_whole { whole } else { by_block };
        if level == 0 {
            return Strength::default();
        }
        let beside = match self.sharpness {
            0 => level,
            sharpness => (level >> if sharpness > 4 { 2 } else { 1 }).min(9 - sharpness),
        };
        let beside = beside.max(1);
        let limit = 2 * level + beside;
        let inner = if has_residue || !is_whole { limit } else { 0 };
        let detail = [15, 40].iter().filter(|&&bound| level >= bound).count() as u8;
        Strength { outer: limit + 4, inner, beside, detail }
    }

    /// Filters row `y` of macroblocks, which is in these planes below [`KEPT_ROWS`] rows of the one above.
    pub(super) fn apply(&self, y: usize, strengths: &[Strength], luma: &mut [u8], chroma: [&mut [u8]; 2]) {
        let stride = strengths.len() * 16;
        let [blue, red] = chroma;
        for (x, strength) in strengths.iter().enumerate().filter(|(_, strength)| strength.outer > 0) {
            let outer = Limits { edge: strength.outer, ..Limits::of(strength) };
            let inner = Limits { edge: strength.inner, ..Limits::of(strength) };
            let mut luma = Luma { samples: luma, stride, left: x * 16 };
            let mut both = Chroma { blue, red, stride: stride / 2, left: x * 8 };
            let has_inner = strength.inner > 0;
            match self.kind {
                FilterKind::Simple => {
                    if x > 0 {
                        luma.upright(0, |lanes| simple(lanes, outer));
                    }
                    (1..4).filter(|_| has_inner).for_each(|i| luma.upright(4 * i, |lanes| simple(lanes, inner)));
                    if y > 0 {
                        luma.level(0, |lanes| simple(lanes, outer));
                    }
                    (1..4).filter(|_| has_inner).for_each(|i| luma.level(4 * i, |lanes| simple(lanes, inner)));
                }
                FilterKind::Normal => {
                    if x > 0 {
                        luma.upright(0, |lanes| between_macroblocks(lanes, outer));
                        both.upright(0, |lanes| between_macroblocks(lanes, outer));
                    }
                    if has_inner {
                        (1..4).for_each(|i| luma.upright(4 * i, |lanes| between_blocks(lanes, inner)));
                        both.upright(4, |lanes| between_blocks(lanes, inner));
                    }
                    if y > 0 {
                        luma.level(0, |lanes| between_macroblocks(lanes, outer));
                        both.level(0, |lanes| between_macroblocks(lanes, outer));
                    }
                    if has_inner {
                        (1..4).for_each(|i| luma.level(4 * i, |lanes| between_blocks(lanes, inner)));
                        both.level(4, |lanes| between_blocks(lanes, inner));
                    }
                }
            }
        }
    }
}

/// Bounds of the steps that are smoothed.
#[derive(Clone, Copy)]
struct Limits {
    edge: u8,
    beside: u8,
    detail: u8,
}

impl Limits {
    fn of(strength: &Strength) -> Self {
        Self { edge: 0, beside: strength.beside, detail: strength.detail }
    }
}

/// Four samples on both sides of an edge.
type Across = [Lane; 8];

/// The luma of a macroblock in its canvas.
struct Luma<'a> {
    samples: &'a mut [u8],
    stride: usize,
    left: usize,
}

impl Luma<'_> {
    /// Filters the edge above row `row` of the macroblock.
    #[inline(always)]
    fn level(&mut self, row: usize, filter: impl FnOnce(&mut Across)) {
        let start = (KEPT_ROWS + row - 4) * self.stride;
        let rows = self.samples.get_mut(start..).unwrap_or_default().chunks_exact_mut(self.stride);
        let mut lanes = [[0; 16]; 8];
        let mut places: [&mut [u8]; 8] = Default::default();
        for ((place, lane), row) in places.iter_mut().zip(&mut lanes).zip(rows) {
            *place = row.get_mut(self.left..self.left + 16).unwrap_or_default();
            lane.iter_mut().zip(&**place).for_each(|(to, from)| *to = *from);
        }
        filter(&mut lanes);
        for (place, lane) in places.into_iter().zip(&lanes) {
            place.iter_mut().zip(lane).for_each(|(to, from)| *to = *from);
        }
    }

    /// Filters the edge to the left of column `column` of the macroblock.
    #[inline(always)]
    fn upright(&mut self, column: usize, filter: impl FnOnce(&mut Across)) {
        let left = self.left + column - 4;
        let rows = self.samples.get_mut(KEPT_ROWS * self.stride..).unwrap_or_default().chunks_exact_mut(self.stride);
        across(rows.map(|row| row.get_mut(left..left + 8).unwrap_or_default()), filter);
    }
}

/// Both chromas of a macroblock in their canvases: eight lanes each.
struct Chroma<'a> {
    blue: &'a mut [u8],
    red: &'a mut [u8],
    stride: usize,
    left: usize,
}

impl Chroma<'_> {
    #[inline(always)]
    fn level(&mut self, row: usize, filter: impl FnOnce(&mut Across)) {
        let start = (KEPT_ROWS / 2 + row - 4) * self.stride;
        let mut lanes = [[0; 16]; 8];
        let mut places: [[&mut [u8]; 8]; 2] = Default::default();
        for (half, (plane, places)) in [&mut *self.blue, &mut *self.red].into_iter().zip(&mut places).enumerate() {
            let rows = plane.get_mut(start..).unwrap_or_default().chunks_exact_mut(self.stride);
            for ((place, lane), row) in places.iter_mut().zip(&mut lanes).zip(rows) {
                *place = row.get_mut(self.left..self.left + 8).unwrap_or_default();
                lane.iter_mut().skip(8 * half).zip(&**place).for_each(|(to, from)| *to = *from);
            }
        }
        filter(&mut lanes);
        for (half, places) in places.into_iter().enumerate() {
            for (place, lane) in places.into_iter().zip(&lanes) {
                place.iter_mut().zip(&lane[8 * half..]).for_each(|(to, from)| *to = *from);
            }
        }
    }

    #[inline(always)]
    fn upright(&mut self, column: usize, filter: impl FnOnce(&mut Across)) {
        let (left, start) = (self.left + column - 4, KEPT_ROWS / 2 * self.stride);
        let [blue, red] = [&mut *self.blue, &mut *self.red]
            .map(|plane| plane.get_mut(start..).unwrap_or_default().chunks_exact_mut(self.stride).take(8));
        across(blue.chain(red).map(|row| row.get_mut(left..left + 8).unwrap_or_default()), filter);
    }
}

/// Filters across an upright edge in the middle of sixteen rows of eight samples.
#[inline(always)]
fn across<'a>(rows: impl Iterator<Item = &'a mut [u8]>, filter: impl FnOnce(&mut Across)) {
    let mut places: [&mut [u8]; 16] = Default::default();
    let mut words = [[0u64; 8]; 2];
    for ((place, row), word) in places.iter_mut().zip(rows).zip(words.as_flattened_mut()) {
        *word = row.first_chunk().map_or(0, |samples| u64::from_le_bytes(*samples));
        *place = row;
    }
    let [upper, lower] = words.map(|words| transposed(words).map(u64::to_le_bytes));
    let mut lanes: Across = [[0; 16]; 8];
    for (lane, (upper, lower)) in lanes.iter_mut().zip(upper.iter().zip(&lower)) {
        lane[..8].copy_from_slice(upper);
        lane[8..].copy_from_slice(lower);
    }
    filter(&mut lanes);
    let half = |start: usize| {
        transposed(lanes.map(|lane| u64::from_le_bytes(std::array::from_fn(|i| lane[start + i])))).map(u64::to_le_bytes)
    };
    let words = [half(0), half(8)];
    for (place, samples) in places.into_iter().zip(words.as_flattened()) {
        if let Some(place) = place.first_chunk_mut() {
            *place = *samples;
        }
    }
}

/// Eight rows of eight bytes, the first of each in the lowest place, with rows and columns exchanged.
#[inline(always)]
fn transposed(mut rows: [u64; 8]) -> [u64; 8] {
    let mut exchange = |distance: usize, shift: u32, mask: u64| {
        for first in (0..8).filter(|first| first & distance == 0) {
            let difference = (rows[first] >> shift ^ rows[first + distance]) & mask;
            rows[first] ^= difference << shift;
            rows[first + distance] ^= difference;
        }
    };
    exchange(4, 32, 0x0000_0000_FFFF_FFFF);
    exchange(2, 16, 0x0000_FFFF_0000_FFFF);
    exchange(1, 8, 0x00FF_00FF_00FF_00FF);
    rows
}

/// A sample as a number with a sign, and back.
#[inline(always)]
fn signed(sample: u8) -> i8 {
    (sample ^ 0x80).cast_signed()
}

#[inline(always)]
fn unsigned(value: i8) -> u8 {
    value.cast_unsigned() ^ 0x80
}

/// Whether the step across the edge is small.
#[inline(always)]
fn is_small(p1: u8, p0: u8, q0: u8, q1: u8, limit: u8) -> bool {
    let step = p0.abs_diff(q0);
    step.saturating_add(step).saturating_add(p1.abs_diff(q1) >> 1) <= limit
}

/// Whether the steps beside the edge are small, too.
#[inline(always)]
fn is_flat(p: [u8; 4], q: [u8; 4], limit: u8) -> bool {
    let step = |side: [u8; 4]| side[3].abs_diff(side[2]).max(side[2].abs_diff(side[1])).max(side[1].abs_diff(side[0]));
    step(p).max(step(q)) <= limit
}

/// What the two samples at the edge are apart, three times, with or without the step of their neighbours.
#[inline(always)]
fn correction(outer: i8, p0: i8, q0: i8) -> i8 {
    let step = q0.saturating_sub(p0);
    outer.saturating_add(step).saturating_add(step).saturating_add(step)
}

/// The simple filter: one sample on both sides changes.
#[inline(always)]
fn simple([_, _, p1, p0, q0, q1, _, _]: &mut Across, limits: Limits) {
    for i in 0..16 {
        let small = is_small(p1[i], p0[i], q0[i], q1[i], limits.edge);
        let (a, b, c, d) = (signed(p1[i]), signed(p0[i]), signed(q0[i]), signed(q1[i]));
        let change = if small { correction(a.saturating_sub(d), b, c) } else { 0 };
        p0[i] = unsigned(b.saturating_add(change.saturating_add(3) >> 3));
        q0[i] = unsigned(c.saturating_sub(change.saturating_add(4) >> 3));
    }
}

/// The filter within a macroblock: one sample on both sides changes, or two.
#[inline(always)]
fn between_blocks([p3, p2, p1, p0, q0, q1, q2, q3]: &mut Across, limits: Limits) {
    for i in 0..16 {
        let small = is_small(p1[i], p0[i], q0[i], q1[i], limits.edge);
        let flat = is_flat([p0[i], p1[i], p2[i], p3[i]], [q0[i], q1[i], q2[i], q3[i]], limits.beside);
        let detail = p1[i].abs_diff(p0[i]).max(q1[i].abs_diff(q0[i])) > limits.detail;
        let (a, b, c, d) = (signed(p1[i]), signed(p0[i]), signed(q0[i]), signed(q1[i]));
        let outer = if detail { a.saturating_sub(d) } else { 0 };
        let change = if small & flat { correction(outer, b, c) } else { 0 };
        let (left, right) = (change.saturating_add(3) >> 3, change.saturating_add(4) >> 3);
        let further = if detail { 0 } else { right.wrapping_add(1) >> 1 };
        p1[i] = unsigned(a.saturating_add(further));
        p0[i] = unsigned(b.saturating_add(left));
        q0[i] = unsigned(c.saturating_sub(right));
        q1[i] = unsigned(d.saturating_sub(further));
    }
}

/// The filter between macroblocks: one sample on both sides changes, or three.
#[inline(always)]
fn between_macroblocks([p3, p2, p1, p0, q0, q1, q2, q3]: &mut Across, limits: Limits) {
    for i in 0..16 {
        let small = is_small(p1[i], p0[i], q0[i], q1[i], limits.edge);
        let flat = is_flat([p0[i], p1[i], p2[i], p3[i]], [q0[i], q1[i], q2[i], q3[i]], limits.beside);
        let detail = p1[i].abs_diff(p0[i]).max(q1[i].abs_diff(q0[i])) > limits.detail;
        let (a, b, c, d) = (signed(p1[i]), signed(p0[i]), signed(q0[i]), signed(q1[i]));
        let change = if small & flat { correction(a.saturating_sub(d), b, c) } else { 0 };
        let share = |weight: i16| ((weight * i16::from(change) + 63) >> 7) as i8;
        let left = if detail { change.saturating_add(3) >> 3 } else { share(27) };
        let right = if detail { change.saturating_add(4) >> 3 } else { share(27) };
        let (second, third) = if detail { (0, 0) } else { (share(18), share(9)) };
        p0[i] = unsigned(b.saturating_add(left));
        q0[i] = unsigned(c.saturating_sub(right));
        p1[i] = unsigned(a.saturating_add(second));
        q1[i] = unsigned(d.saturating_sub(second));
        p2[i] = unsigned(signed(p2[i]).saturating_add(third));
        q2[i] = unsigned(signed(q2[i]).saturating_sub(third));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_square_has_its_rows_for_columns() {
        let rows: [u64; 8] =
            std::array::from_fn(|row| u64::from_le_bytes(std::array::from_fn(|i| (8 * row + i) as u8)));
        for (column, word) in transposed(rows).into_iter().enumerate() {
            assert_eq!(word.to_le_bytes(), std::array::from_fn(|row| (8 * row + column) as u8));
        }
    }
}
