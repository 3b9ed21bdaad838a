//! The head of a VP8 key frame: how it is cut into segments and partitions, step lengths, filter, probabilities (RFC 6386, section 9).
//!
//! Errors: [`Error::Damaged`] when the head is cut or says what no WebP may say.

use super::bits::Decisions;
use super::tables::{AC_STEPS, BANDS, DC_STEPS, TOKEN_UPDATES, TOKENS, TokenProbabilities};
use crate::Error;

/// Tag, start code, width and height.
const HEAD_BYTES: usize = 10;
/// Bytes of a partition's length.
const LENGTH_BYTES: usize = 3;
/// The highest version of the format; they differ in what only moving pictures need.
const HIGHEST_VERSION: u8 = 3;
/// Macroblocks belong to one of so many segments.
pub(super) const SEGMENTS: usize = 4;

/// Step lengths of a block: of its mean, and of all other coefficients.
pub(super) type Steps = [i16; 2];

/// What a segment has of its own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Segment {
    pub(super) luma: Steps,
    /// Of the block that holds the means of the luma blocks.
    pub(super) means: Steps,
    pub(super) chroma: Steps,
    /// Strength of the loop filter, 0 to 63, for macroblocks predicted as a whole and for those predicted block by block.
    pub(super) strength: [u8; 2],
}

/// Which loop filter the file asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FilterKind {
    /// Luma only, two samples on both sides of an edge.
    Simple,
    Normal,
}

/// Probabilities of tokens for each coefficient of a block instead of each band; one more, so that what follows the last can be named.
pub(super) type Tokens = [[[[u8; 11]; 3]; 17]; 4];

/// The head of a frame.
pub(super) struct Head<'a> {
    pub(super) segments: [Segment; SEGMENTS],
    /// Probabilities of a macroblock's segment, if it is told.
    pub(super) segment_tree: Option<[u8; 3]>,
    pub(super) filter: FilterKind,
    /// 0 to 7.
    pub(super) sharpness: u8,
    pub(super) tokens: Box<Tokens>,
    /// Probability that a macroblock has coefficients, if that is told.
    pub(super) skip: Option<u8>,
    /// The modes of all macroblocks follow here.
    pub(super) modes: Decisions<'a>,
    /// The coefficients of row `i` of macroblocks are in partition `i % partitions.len()`; there are 1, 2, 4 or 8.
    pub(super) partitions: Vec<Decisions<'a>>,
}

/// Segments as the file tells them.
#[derive(Default)]
struct Told {
    quantiser: [i32; SEGMENTS],
    strength: [i32; SEGMENTS],
    tree: Option<[u8; 3]>,
    /// Whether they stand for themselves, or are added to those of the frame.
    absolute: bool,
    used: bool,
}

impl<'a> Head<'a> {
    /// Reads the head of a frame, of which width and height are known.
    pub(super) fn read(stream: &'a [u8]) -> Result<Self, Error> {
        let cut = || Error::damaged("the WebP picture ends within its head");
        let (head, rest) = stream.split_first_chunk::<HEAD_BYTES>().ok_or_else(cut)?;
        let tag = u32::from_le_bytes([head[0], head[1], head[2], 0]);
        if tag & 1 != 0 || (tag >> 1 & 7) as u8 > HIGHEST_VERSION || tag >> 4 & 1 == 0 {
            return Err(Error::damaged("a WebP picture that is no key frame or not to be shown"));
        }
        let (first, rest) = rest.split_at_checked((tag >> 5) as usize).ok_or_else(cut)?;
        let mut bits = Decisions::new(first);
        if bits.flag() {
            return Err(Error::damaged("a WebP picture in a reserved colour space"));
        }
        // Whether samples need clamping: they are clamped in any case.
        bits.flag();
        let told = read_segments(&mut bits);
        let filter = if bits.flag() { FilterKind::Simple } else { FilterKind::Normal };
        let level = bits.number(6);
        let sharpness = bits.number(3) as u8;
        let [whole, by_block] = read_filter_changes(&mut bits);
        let partitions = cut_partitions(rest, 1 << bits.number(2))?;
        let mut segments = read_steps(&mut bits, &told);
        for (segment, &own) in segments.iter_mut().zip(&told.strength) {
            let base = match (told.used, told.absolute) {
                (false, _) => level,
                (true, true) => own,
                (true, false) => level + own,
            };
            // A level of 0 for the frame means no filter at all, whatever the segments say.
            let strength = |change: i32| if level == 0 { 0 } else { (base + change).clamp(0, 63) as u8 };
            segment.strength = [strength(whole), strength(whole + by_block)];
        }
        // Whether the probabilities hold for later frames: there are none.
        bits.flag();
        let tokens = read_tokens(&mut bits);
        let skip = bits.flag().then(|| bits.number(8) as u8);
        if bits.are_over() {
            return Err(cut());
        }
        Ok(Self { segments, segment_tree: told.tree, filter, sharpness, tokens, skip, modes: bits, partitions })
    }
}

fn read_segments(bits: &mut Decisions<'_>) -> Told {
    let mut told = Told { used: bits.flag(), absolute: true, ..Told::default() };
    if !told.used {
        return told;
    }
    let map = bits.flag();
    if bits.flag() {
        told.absolute = bits.flag();
        told.quantiser = std::array::from_fn(|_| bits.optional_number(7));
        told.strength = std::array::from_fn(|_| bits.optional_number(6));
    }
    told.tree = map.then(|| std::array::from_fn(|_| if bits.flag() { bits.number(8) as u8 } else { 255 }));
    told
}

/// What is added to the strength of the filter: in a key frame, and for macroblocks that are predicted block by block. The other changes are
/// for moving pictures.
fn read_filter_changes(bits: &mut Decisions<'_>) -> [i32; 2] {
    if !bits.flag() || !bits.flag() {
        return [0; 2];
    }
    let references: [i32; 4] = std::array::from_fn(|_| bits.optional_number(6));
    let modes: [i32; 4] = std::array::from_fn(|_| bits.optional_number(6));
    [references[0], modes[0]]
}

fn cut_partitions(data: &[u8], count: usize) -> Result<Vec<Decisions<'_>>, Error> {
    let cut = || Error::damaged("the WebP picture has partitions beyond its end");
    let (lengths, mut rest) = data.split_at_checked((count - 1) * LENGTH_BYTES).ok_or_else(cut)?;
    let mut partitions = Vec::with_capacity(count);
    for &[a, b, c] in lengths.as_chunks::<LENGTH_BYTES>().0 {
        let (partition, others) = rest.split_at_checked(u32::from_le_bytes([a, b, c, 0]) as usize).ok_or_else(cut)?;
        partitions.push(Decisions::new(partition));
        rest = others;
    }
    if rest.is_empty() {
        return Err(cut());
    }
    partitions.push(Decisions::new(rest));
    Ok(partitions)
}

fn read_steps(bits: &mut Decisions<'_>, told: &Told) -> [Segment; SEGMENTS] {
    let base = bits.number(7);
    let [luma_dc, means_dc, means_ac, chroma_dc, chroma_ac] = std::array::from_fn(|_| bits.optional_number(4));
    let dc = |index: i32| DC_STEPS[index.clamp(0, 127) as usize];
    let ac = |index: i32| AC_STEPS[index.clamp(0, 127) as usize];
    std::array::from_fn(|index| {
        let index = match (told.used, told.absolute) {
            (false, _) => base,
            (true, true) => told.quantiser[index],
            (true, false) => base + told.quantiser[index],
        };
        let scaled = i32::from(ac(index + means_ac)) * 155 / 100;
        Segment {
            luma: [dc(index + luma_dc), ac(index)],
            means: [dc(index + means_dc) * 2, (scaled as i16).max(8)],
            chroma: [dc(index + chroma_dc).min(132), ac(index + chroma_ac)],
            strength: [0; 2],
        }
    })
}

fn read_tokens(bits: &mut Decisions<'_>) -> Box<Tokens> {
    let mut told: TokenProbabilities = TOKENS;
    for (value, &update) in told
        .as_flattened_mut()
        .as_flattened_mut()
        .as_flattened_mut()
        .iter_mut()
        .zip(TOKEN_UPDATES.as_flattened().as_flattened().as_flattened())
    {
        if bits.next(update) {
            *value = bits.number(8) as u8;
        }
    }
    let mut tokens: Box<Tokens> = Box::new([[[[0; 11]; 3]; 17]; 4]);
    for (kind, told) in tokens.iter_mut().zip(&told) {
        for (place, &band) in kind.iter_mut().zip(&BANDS) {
            *place = told[usize::from(band)];
        }
    }
    tokens
}
