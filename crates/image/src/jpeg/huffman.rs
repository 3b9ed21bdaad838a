//! Huffman tables, made for decoding several symbols at once.
//!
//! What a symbol costs is the way from the bits over the table back to the bits: shift, load, shift. So the fewer look-ups the better, and
//! nothing else may stand on that way. Three tables are made of one DHT segment:
//!
//! | table | look-up | gives |
//! |---|---|---|
//! | `steps` | [`LOOK_BITS`] | one symbol, with the bits that code and value take together; the value is computed aside |
//! | `pairs` | [`PAIR_BITS`] | up to two coefficients with their values, and the end of the block behind them |
//! | `passing` | [`PASS_BITS`] | as many unwanted coefficients as fit, and the end of the block |
//!
//! The last two are made when a scan wants them, not before.

use super::bits::{Ahead, Cursor};
use crate::Error;

/// Bits of the look-up of single symbols; longer codes are rare.
const LOOK_BITS: u32 = 10;
/// Bits of the look-up that gives two coefficients.
const PAIR_BITS: u32 = 11;
/// Bits of the look-up that passes over several unwanted coefficients.
const PASS_BITS: u32 = 13;
/// Longest code in the format.
const LONGEST: usize = 16;

/// One symbol: `run << 15 | code length << 10 | size << 6 | bits of code and value`; 0: no such code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step(u32);

impl Step {
    fn new(length: u32, symbol: u8) -> Self {
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        Self(run << 15 | length << 10 | size << 6 | (length + size))
    }

    /// Whether there is no such code.
    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Zeros before the coefficient; of an end of block, the bits of the count of blocks that end with it (progressive).
    #[inline(always)]
    pub(super) fn run(self) -> u32 {
        self.0 >> 15
    }

    /// Bits of the code.
    #[inline(always)]
    pub(super) fn length(self) -> u32 {
        self.0 >> 10 & 31
    }

    /// Bits of the value.
    #[inline(always)]
    pub(super) fn size(self) -> u32 {
        self.0 >> 6 & 15
    }

    /// Bits of code and value.
    #[inline(always)]
    pub(super) fn total(self) -> u32 {
        self.0 & 63
    }

    /// Whether it ends the block: no value, and no run of sixteen.
    #[inline(always)]
    pub(super) fn ends_block(self) -> bool {
        self.size() == 0 && self.run() < 15
    }
}

/// Added to the advance when the block ends. Below 64 the advance counts coefficients.
const END: u32 = 128;
/// Set in the index behind a look-up: past the 64th coefficient, or the table cannot tell ([`UNKNOWN`]).
const BEYOND: u32 = 64;
/// The advance of an entry that says nothing: single steps are asked for.
const UNKNOWN: u32 = 64;

/// Up to two coefficients: `value << 48 | value << 32 | place << 21 | place << 16 | advance << 6 | bits`. A second coefficient that is not
/// there is a zero behind the first, where zeros are anyway.
#[derive(Clone, Copy)]
struct Pair(u64);

impl Pair {
    const NONE: Self = Self((UNKNOWN as u64) << 6);
}

/// How the coefficients of a block ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockEnd {
    /// No coefficient but the first is set.
    MeanOnly,
    /// Some are.
    Detailed,
    /// The bits make no sense.
    Broken,
}

/// Where the coefficients of a block are put: the 64 by their position, and room for those whose run points beyond.
pub(super) type Coefficients = [i16; 128];

/// One table.
pub(super) struct HuffmanTable {
    steps: Box<[Step; 1 << LOOK_BITS]>,
    /// First code of each length, left-aligned to 16 bits, exclusive upper end.
    ends: [u32; LONGEST + 1],
    /// Index of the first symbol of each length minus its first code.
    starts: [i32; LONGEST + 1],
    symbols: [u8; 256],
    pairs: Option<Box<[Pair; 1 << PAIR_BITS]>>,
    /// `advance << 6 | bits`.
    passing: Option<Box<[u16; 1 << PASS_BITS]>>,
}

impl HuffmanTable {
    /// Builds the table from the counts by length and the symbols of a DHT segment.
    pub(super) fn new(counts: &[u8; LONGEST], symbols: &[u8]) -> Result<Self, Error> {
        let mut table = Self {
            steps: Box::new([Step(0); 1 << LOOK_BITS]),
            ends: [0; LONGEST + 1],
            starts: [0; LONGEST + 1],
            symbols: [0; 256],
            pairs: None,
            passing: None,
        };
        table
            .symbols
            .get_mut(..symbols.len())
            .ok_or_else(|| Error::damaged("a Huffman table of more than 256 symbols"))?
            .copy_from_slice(symbols);
        let (mut code, mut index) = (0u32, 0usize);
        for length in 1..=LONGEST {
            let count = u32::from(counts[length - 1]);
            if code + count > 1 << length {
                return Err(Error::damaged("an impossible Huffman table"));
            }
            table.starts[length] = index as i32 - code as i32;
            for _ in 0..count {
                if let Some(spare) = LOOK_BITS.checked_sub(length as u32) {
                    let step = Step::new(length as u32, table.symbols[index & 255]);
                    let first = (code << spare) as usize;
                    table.steps[first..first + (1 << spare)].fill(step);
                }
                code += 1;
                index += 1;
            }
            table.ends[length] = code << (LONGEST - length);
            code <<= 1;
        }
        if index != symbols.len() {
            return Err(Error::damaged("a Huffman table with too few symbols"));
        }
        Ok(table)
    }

    /// The next symbol; the cursor holds 16 bits at least.
    #[inline(always)]
    pub(super) fn step(&self, cursor: &Cursor) -> Step {
        let step = self.steps[cursor.peek(LOOK_BITS) as usize % (1 << LOOK_BITS)];
        if step.is_none() { self.long_step(cursor.peek(16)) } else { step }
    }

    /// The symbol of a code that is longer than the look-up; none when there is no such code.
    #[cold]
    #[inline(never)]
    fn long_step(&self, bits: u32) -> Step {
        for length in LOOK_BITS as usize + 1..=LONGEST {
            if bits < self.ends[length] {
                let index = self.starts[length] + (bits >> (LONGEST - length)) as i32;
                return Step::new(length as u32, self.symbols[index as usize & 255]);
            }
        }
        Step(0)
    }

    /// The difference of a mean. `None`: there is no such code. The cursor is refilled.
    #[inline(always)]
    pub(super) fn difference(&self, ahead: &Ahead, cursor: &mut Cursor) -> Option<i32> {
        cursor.refill(ahead);
        let step = self.step(cursor);
        if step.is_none() {
            return None;
        }
        let value = cursor.value(step.length(), step.size());
        cursor.consume(step.total());
        Some(value)
    }

    /// Prepares [`HuffmanTable::coefficients`].
    pub(super) fn make_pairs(&mut self) {
        if self.pairs.is_some() {
            return;
        }
        let mut pairs = Box::new([Pair::NONE; 1 << PAIR_BITS]);
        for (prefix, slot) in pairs.iter_mut().enumerate() {
            *slot = self.pair(prefix as u32);
        }
        self.pairs = Some(pairs);
    }

    /// The step that begins `used` bits into `prefix`, a number of `width` bits, and its value, if all of it is there.
    fn step_within(&self, prefix: u32, width: u32, used: u32) -> Option<(Step, i16)> {
        let bits = prefix << (32 - width) << used;
        let mut step = self.steps[(bits >> (32 - LOOK_BITS)) as usize % (1 << LOOK_BITS)];
        if step.is_none() {
            step = self.long_step(bits >> 16);
        }
        if step.is_none() || used + step.total() > width {
            return None;
        }
        let raw = (bits << step.length() >> 1 >> (31 - step.size())) as i32;
        let value = if raw < (1 << step.size()) >> 1 { raw - (1 << step.size()) + 1 } else { raw };
        Some((step, value as i16))
    }

    fn pair(&self, prefix: u32) -> Pair {
        let (mut used, mut advance) = (0u32, 0u32);
        let (mut places, mut values) = ([0u32; 2], [0i16; 2]);
        let mut found = 0;
        while let Some((step, value)) = self.step_within(prefix, PAIR_BITS, used) {
            if step.ends_block() {
                used += step.total();
                advance += END;
                break;
            }
            if found == 2 {
                break;
            }
            used += step.total();
            places[found] = advance + step.run();
            values[found] = value;
            advance += step.run() + 1;
            found += 1;
        }
        if used == 0 {
            return Pair::NONE;
        }
        if found < 2 {
            places[1] = places[0] + 1;
        }
        let word = |value: i16| u64::from(value as u16);
        Pair(
            word(values[1]) << 48
                | word(values[0]) << 32
                | u64::from(places[1]) << 21
                | u64::from(places[0]) << 16
                | u64::from(advance) << 6
                | u64::from(used),
        )
    }

    /// Prepares [`HuffmanTable::coefficients`] to pass over what is not needed, several coefficients at a time.
    pub(super) fn make_passing(&mut self) {
        if self.passing.is_some() {
            return;
        }
        let mut passing = Box::new([0u16; 1 << PASS_BITS]);
        for (prefix, slot) in passing.iter_mut().enumerate() {
            let (mut used, mut advance) = (0u32, 0u32);
            while let Some((step, _)) = self.step_within(prefix as u32, PASS_BITS, used) {
                let ends = step.ends_block();
                if !ends && advance + step.run() + 1 > 63 {
                    break;
                }
                used += step.total();
                advance += if ends { END } else { step.run() + 1 };
                if ends {
                    break;
                }
            }
            *slot = if used == 0 { (UNKNOWN as u16) << 6 } else { (advance as u16) << 6 | used as u16 };
        }
        self.passing = Some(passing);
    }

    /// Reads the coefficients of a block behind its mean up to number `last_needed` (in file order), puts them where `places` says, and
    /// passes over the others. [`HuffmanTable::make_pairs`] was called.
    #[inline(always)]
    pub(super) fn coefficients(
        &self,
        ahead: &Ahead,
        cursor: &mut Cursor,
        last_needed: u32,
        places: &[u8; 128],
        block: &mut Coefficients,
    ) -> BlockEnd {
        let Some(pairs) = &self.pairs else { return BlockEnd::Broken };
        let mut index = 1u32;
        while index <= last_needed {
            cursor.refill(ahead);
            let Pair(pair) = pairs[cursor.peek(PAIR_BITS) as usize % (1 << PAIR_BITS)];
            let after = index + (pair as u32 >> 6 & 0xFF);
            if after & BEYOND != 0 {
                let step = self.step(cursor);
                if step.is_none() {
                    return BlockEnd::Broken;
                }
                let value = cursor.value(step.length(), step.size());
                cursor.consume(step.total());
                if step.ends_block() {
                    return end(index);
                }
                index += step.run();
                put(block, places, index, value as i16);
                index += 1;
                if index > 63 {
                    return if index == 64 { BlockEnd::Detailed } else { BlockEnd::Broken };
                }
                continue;
            }
            put(block, places, index + (pair as u32 >> 16 & 31), (pair >> 32) as i16);
            put(block, places, index + (pair as u32 >> 21 & 63), (pair >> 48) as i16);
            cursor.consume(pair as u32);
            index = after;
        }
        if index >= END {
            return end(index & 63);
        }
        self.pass_over(ahead, cursor, index)
    }

    /// Passes over the coefficients from `index` to the end of the block.
    #[inline(always)]
    fn pass_over(&self, ahead: &Ahead, cursor: &mut Cursor, mut index: u32) -> BlockEnd {
        let first = index;
        if let Some(passing) = &self.passing {
            loop {
                cursor.refill(ahead);
                // Four look-ups of 13 bits are in a window of 56.
                for _ in 0..4 {
                    let entry = u32::from(passing[cursor.peek(PASS_BITS) as usize % (1 << PASS_BITS)]);
                    let after = index + (entry >> 6);
                    if after >= BEYOND {
                        if after & BEYOND == 0 {
                            cursor.consume(entry);
                            return end(first);
                        }
                        cursor.refill(ahead);
                        let step = self.step(cursor);
                        cursor.consume(step.total());
                        if step.ends_block() {
                            return if step.is_none() { BlockEnd::Broken } else { end(first) };
                        }
                        index += step.run() + 1;
                        if index > 63 {
                            return if index == 64 { BlockEnd::Detailed } else { BlockEnd::Broken };
                        }
                        break;
                    }
                    cursor.consume(entry);
                    index = after;
                }
            }
        }
        loop {
            cursor.refill(ahead);
            let step = self.step(cursor);
            cursor.consume(step.total());
            if step.ends_block() {
                return if step.is_none() { BlockEnd::Broken } else { end(first) };
            }
            index += step.run() + 1;
            if index > 63 {
                return if index == 64 { BlockEnd::Detailed } else { BlockEnd::Broken };
            }
        }
    }
}

#[inline(always)]
fn put(block: &mut Coefficients, places: &[u8; 128], index: u32, value: i16) {
    block[usize::from(places[index as usize % 128]) % 128] = value;
}

/// The end of a block whose needed coefficients end before `index`.
#[inline(always)]
fn end(index: u32) -> BlockEnd {
    if index == 1 { BlockEnd::MeanOnly } else { BlockEnd::Detailed }
}
