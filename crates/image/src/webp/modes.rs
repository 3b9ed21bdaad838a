//! How each macroblock is predicted (RFC 6386, sections 8 and 11), from the first partition.

use super::bits::Decisions;
use super::header::Head;
use super::tables::BLOCK_MODES;

/// A way of prediction. The first four exist for whole macroblocks too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    /// The mean of what is above and to the left.
    #[default]
    Mean,
    /// The differences along the edges go on.
    Motion,
    Down,
    Across,
    DownRight,
    DownRightSteep,
    DownLeft,
    DownLeftSteep,
    AcrossDown,
    AcrossUp,
}

/// How luma is predicted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Luma {
    Whole(Mode),
    /// Each block of 4 × 4 by itself.
    Blocks([Mode; 16]),
}

/// What the first partition says of a macroblock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Macroblock {
    pub(super) segment: usize,
    /// Has no coefficients.
    pub(super) skipped: bool,
    pub(super) luma: Luma,
    pub(super) chroma: Mode,
}

/// Reads a macroblock; `above` and `left` are the modes of the blocks beside it, and become its own.
pub(super) fn read(head: &mut Head<'_>, above: &mut [Mode; 4], left: &mut [Mode; 4]) -> Macroblock {
    let bits = &mut head.modes;
    let segment = head.segment_tree.map_or(0, |[first, low, high]| {
        if bits.next(first) { 2 + usize::from(bits.next(high)) } else { usize::from(bits.next(low)) }
    });
    let skipped = head.skip.is_some_and(|probability| bits.next(probability));
    let luma = if bits.next(145) {
        let mode = match bits.next(156) {
            true if bits.next(128) => Mode::Motion,
            true => Mode::Across,
            false if bits.next(163) => Mode::Down,
            false => Mode::Mean,
        };
        (*above, *left) = ([mode; 4], [mode; 4]);
        Luma::Whole(mode)
    } else {
        let mut modes = [Mode::Mean; 16];
        for (row, left) in modes.as_chunks_mut::<4>().0.iter_mut().zip(left) {
            for (mode, above) in row.iter_mut().zip(&mut *above) {
                *mode = block_mode(bits, &BLOCK_MODES[*above as usize][*left as usize]);
                (*above, *left) = (*mode, *mode);
            }
        }
        Luma::Blocks(modes)
    };
    let chroma = if !bits.next(142) {
        Mode::Mean
    } else if !bits.next(114) {
        Mode::Down
    } else if bits.next(183) {
        Mode::Motion
    } else {
        Mode::Across
    };
    Macroblock { segment, skipped, luma, chroma }
}

fn block_mode(bits: &mut Decisions<'_>, probabilities: &[u8; 9]) -> Mode {
    let mut next = |index: usize| bits.next(probabilities[index]);
    if !next(0) {
        Mode::Mean
    } else if !next(1) {
        Mode::Motion
    } else if !next(2) {
        Mode::Down
    } else if !next(3) {
        if !next(4) {
            Mode::Across
        } else if !next(5) {
            Mode::DownRight
        } else {
            Mode::DownRightSteep
        }
    } else if !next(6) {
        Mode::DownLeft
    } else if !next(7) {
        Mode::DownLeftSteep
    } else if !next(8) {
        Mode::AcrossDown
    } else {
        Mode::AcrossUp
    }
}
