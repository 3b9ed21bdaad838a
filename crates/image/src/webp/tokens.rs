//! The coefficients of a macroblock (RFC 6386, section 13), already times their step lengths.

use super::bits::Decisions;
use super::header::{Segment, Steps, Tokens};
use super::tables::{LARGE_VALUES, ZIGZAG};
use super::transform::spread_means;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Content {
    #[default]
    Nothing,
    /// Its mean and nothing else.
    Mean,
    All,
}

/// The coefficients of a macroblock: 16 blocks of luma, 4 of each chroma, row by row.
#[derive(Debug, Default)]
pub(super) struct Residue {
    pub(super) blocks: [[i16; 16]; 24],
    pub(super) content: [Content; 24],
}

/// Which blocks along an edge of a macroblock have coefficients: four of luma, two of each chroma, the means. 0 or 1 each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Edge {
    luma: [u8; 4],
    chroma: [[u8; 2]; 2],
    means: u8,
}

impl Edge {
    /// Beside a macroblock without coefficients; the block of means stays as it was where there is none.
    pub(super) fn clear(&mut self, has_means: bool) {
        *self = Self { means: if has_means { 0 } else { self.means }, ..Self::default() };
    }
}

/// Kinds of blocks, for which probabilities differ.
const LUMA_WITHOUT_MEAN: usize = 0;
const MEANS: usize = 1;
const CHROMA: usize = 2;
const LUMA: usize = 3;

impl Residue {
    /// Reads a macroblock; `above` and `left` are those of its neighbours, and become its own. Says whether there is any coefficient.
    pub(super) fn read(
        &mut self,
        source: &mut Decisions<'_>,
        tokens: &Tokens,
        segment: &Segment,
        has_means: bool,
        above: &mut Edge,
        left: &mut Edge,
    ) -> bool {
        // A copy stays in registers.
        let mut bits = *source;
        self.blocks = [[0; 16]; 24];
        let (luma, chroma) = self.blocks.split_at_mut(16);
        let (kind, first) = if has_means {
            let mut means = [0; 16];
            let end = block(&mut bits, &tokens[MEANS], above.means + left.means, segment.means, 0, &mut means);
            (above.means, left.means) = (u8::from(end > 0), u8::from(end > 0));
            spread_means(&means, luma);
            (LUMA_WITHOUT_MEAN, 1)
        } else {
            (LUMA, 0)
        };
        let (luma_content, chroma_content) = self.content.split_at_mut(16);
        for (row, (blocks, content)) in luma.chunks_exact_mut(4).zip(luma_content.chunks_exact_mut(4)).enumerate() {
            let left = &mut left.luma[row];
            for ((out, content), above) in blocks.iter_mut().zip(content).zip(&mut above.luma) {
                let end = block(&mut bits, &tokens[kind], *above + *left, segment.luma, first, out);
                (*above, *left) = (u8::from(end > first), u8::from(end > first));
                *content = content_of(end, out);
            }
        }
        for (part, (blocks, content)) in chroma.chunks_exact_mut(4).zip(chroma_content.chunks_exact_mut(4)).enumerate()
        {
            let (above, left) = (&mut above.chroma[part], &mut left.chroma[part]);
            for (index, (out, content)) in blocks.iter_mut().zip(content).enumerate() {
                let (above, left) = (&mut above[index % 2], &mut left[index / 2]);
                let end = block(&mut bits, &tokens[CHROMA], *above + *left, segment.chroma, 0, out);
                (*above, *left) = (u8::from(end > 0), u8::from(end > 0));
                *content = content_of(end, out);
            }
        }
        *source = bits;
        self.content.iter().any(|&content| content != Content::Nothing)
    }
}

/// What a block holds whose last coefficient is before `end`.
fn content_of(end: usize, block: &[i16; 16]) -> Content {
    if end > 1 {
        Content::All
    } else if block[0] != 0 {
        Content::Mean
    } else {
        Content::Nothing
    }
}

/// Reads a block from coefficient `first` on; gives the place behind its last one.
#[inline(always)]
fn block(
    bits: &mut Decisions<'_>,
    tokens: &[[[u8; 11]; 3]; 17],
    neighbours: u8,
    steps: Steps,
    first: usize,
    out: &mut [i16; 16],
) -> usize {
    let mut place = first;
    let mut probabilities = &tokens[first][usize::from(neighbours.min(2))];
    while place < 16 {
        if !bits.next(probabilities[0]) {
            return place;
        }
        while !bits.next(probabilities[1]) {
            place += 1;
            if place == 16 {
                return 16;
            }
            probabilities = &tokens[place][0];
        }
        let value;
        if bits.next(probabilities[2]) {
            value = large(bits, probabilities);
            probabilities = &tokens[place + 1][2];
        } else {
            value = 1;
            probabilities = &tokens[place + 1][1];
        }
        let step = i32::from(steps[usize::from(place > 0)]);
        out[usize::from(ZIGZAG[place])] = (bits.signed(value) * step) as i16;
        place += 1;
    }
    16
}

/// A value of 2 or more.
#[inline]
fn large(bits: &mut Decisions<'_>, probabilities: &[u8; 11]) -> i32 {
    if !bits.next(probabilities[3]) {
        return if bits.next(probabilities[4]) { 3 + i32::from(bits.next(probabilities[5])) } else { 2 };
    }
    if !bits.next(probabilities[6]) {
        if !bits.next(probabilities[7]) {
            return 5 + i32::from(bits.next(159));
        }
        return 7 + 2 * i32::from(bits.next(165)) + i32::from(bits.next(145));
    }
    let high = usize::from(bits.next(probabilities[8]));
    let category = 2 * high + usize::from(bits.next(probabilities[9 + high]));
    let extra = LARGE_VALUES[category].iter().fold(0, |sum, &p| 2 * sum + i32::from(bits.next(p)));
    3 + (8 << category) + extra
}
