//! Huffman tables, made for decoding several bits at once.

use super::bits::BitReader;
use crate::Error;

/// Bits of the main look-up; 95 % of all symbols of photos have code and extra bits within it.
const LOOK: u32 = 10;
/// Bits of the look-up that passes over several unwanted coefficients at once.
const PASS: u32 = 13;
/// Longest code in the format.
const LONGEST: usize = 16;

/// One table. An entry of `fast` is `value << 16 | run << 8 | bits` when code and extra bits fit ([`Symbol`]), else
/// `symbol << 8 | code length` with value 0, or 0 when even the code does not fit.
pub(super) struct HuffmanTable {
    fast: Box<[u32; 1 << LOOK]>,
    /// First code of each length, left-aligned to 16 bits, exclusive upper end.
    ends: [u32; LONGEST + 1],
    /// Index of the first symbol of each length minus its first code.
    starts: [i32; LONGEST + 1],
    symbols: [u8; 256],
    /// `end-of-block << 15 | coefficients << 4 | bits`; empty until [`HuffmanTable::make_passing`].
    passing: Vec<u16>,
}

/// What one look-up gave.
pub(super) enum Symbol {
    /// The run and the value of a coefficient; all bits are consumed.
    Coefficient {
        /// Zeros before it.
        run: u32,
        /// Its value, not 0.
        value: i16,
    },
    /// The raw symbol; its extra bits are still to be read.
    Raw(u8),
}

impl HuffmanTable {
    /// Builds the table from the counts by length and the symbols of a DHT segment.
    pub(super) fn new(counts: &[u8; LONGEST], symbols: &[u8]) -> Result<Self, Error> {
        let mut table = Self {
            fast: Box::new([0; 1 << LOOK]),
            ends: [0; LONGEST + 1],
            starts: [0; LONGEST + 1],
            symbols: [0; 256],
            passing: Vec::new(),
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
                if length as u32 <= LOOK {
                    table.fill_fast(code, length as u32, table.symbols[index & 255]);
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

    fn fill_fast(&mut self, code: u32, length: u32, symbol: u8) {
        let spare = LOOK - length;
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        for tail in 0..1u32 << spare {
            let entry = if size > 0 && size <= spare {
                let raw = (tail >> (spare - size)) as i32;
                let value = if raw < 1 << (size - 1) { raw - (1 << size) + 1 } else { raw };
                (value as u32) << 16 | run << 8 | (length + size)
            } else {
                u32::from(symbol) << 8 | length
            };
            self.fast[(code << spare | tail) as usize & ((1 << LOOK) - 1)] = entry;
        }
    }

    /// The next AC symbol. [`BitReader::ensure`] is called here. A code that is not in the table gives symbol 0 (an end of
    /// block) and is remembered by the reader.
    #[inline(always)]
    pub(super) fn next(&self, bits: &mut BitReader<'_>) -> Symbol {
        bits.ensure();
        let entry = self.fast[bits.peek(LOOK) as usize & ((1 << LOOK) - 1)];
        let value = (entry >> 16) as i16;
        if value != 0 {
            bits.consume(entry & 0xFF);
            return Symbol::Coefficient { run: entry >> 8 & 15, value };
        }
        Symbol::Raw(self.raw(entry, bits))
    }

    #[inline(always)]
    fn raw(&self, entry: u32, bits: &mut BitReader<'_>) -> u8 {
        if entry != 0 {
            bits.consume(entry & 0xFF);
            return (entry >> 8) as u8;
        }
        self.long_code(bits)
    }

    /// The symbol of a code that is longer than the look-up.
    #[cold]
    #[inline(never)]
    fn long_code(&self, bits: &mut BitReader<'_>) -> u8 {
        let code = bits.peek(16);
        for length in LOOK as usize + 1..=LONGEST {
            if code < self.ends[length] {
                bits.consume(length as u32);
                let index = self.starts[length] + (code >> (LONGEST - length)) as i32;
                return self.symbols[index as usize & 255];
            }
        }
        bits.mark_invalid();
        bits.consume(16);
        0
    }

    /// Prepares [`HuffmanTable::pass_over`].
    pub(super) fn make_passing(&mut self) {
        if !self.passing.is_empty() {
            return;
        }
        let mut passing = vec![0u16; 1 << PASS];
        for (prefix, slot) in passing.iter_mut().enumerate() {
            let (mut used, mut coefficients, mut end) = (0u32, 0u32, false);
            while !end {
                let left = PASS - used;
                let window = (prefix as u32) << used & ((1 << PASS) - 1);
                // Left-aligned to the look-up; bits below are unknown, so a code must fit into what is left.
                let entry = self.fast[(window >> (PASS - LOOK)) as usize];
                let value = (entry >> 16) as i16;
                let (need, symbol) = if value != 0 {
                    (entry & 0xFF, (entry >> 8 & 15) + 1)
                } else if entry == 0 {
                    break;
                } else {
                    let raw = entry >> 8;
                    match (raw >> 4, raw & 15) {
                        (15, 0) => (entry & 0xFF, 16),
                        (0, 0) => {
                            end = true;
                            (entry & 0xFF, 0)
                        }
                        (run, size) => ((entry & 0xFF) + size, run + 1),
                    }
                };
                if need > left {
                    end = false;
                    break;
                }
                used += need;
                coefficients += symbol;
            }
            *slot = u16::from(end) << 15 | (coefficients as u16) << 4 | used as u16;
        }
        self.passing = passing;
    }

    /// Passes over the coefficients from `index` to the end of the block; gives the index after the last.
    #[inline(always)]
    pub(super) fn pass_over(&self, bits: &mut BitReader<'_>, mut index: u32) -> u32 {
        let Some(passing) = self.passing.first_chunk::<{ 1 << PASS }>() else { return self.pass_slowly(bits, index) };
        while index < 64 {
            bits.ensure();
            let entry = u32::from(passing[bits.peek(PASS) as usize & ((1 << PASS) - 1)]);
            let after = index + (entry >> 4 & 0x7FF);
            // At 64 the block ends without a mark, and what follows belongs to the next: only single steps are sure.
            if entry & 15 != 0 && after < 64 {
                bits.consume(entry & 15);
                index = after;
                if entry >> 15 != 0 {
                    return index;
                }
            } else {
                match self.step(bits, index) {
                    Some(next) => index = next,
                    None => return index,
                }
            }
        }
        index
    }

    fn pass_slowly(&self, bits: &mut BitReader<'_>, mut index: u32) -> u32 {
        while index < 64 {
            match self.step(bits, index) {
                Some(next) => index = next,
                None => return index,
            }
        }
        index
    }

    /// Passes over one symbol; `None` at the end of the block.
    #[inline(always)]
    fn step(&self, bits: &mut BitReader<'_>, index: u32) -> Option<u32> {
        match self.next(bits) {
            Symbol::Coefficient { run, .. } => Some(index + run + 1),
            Symbol::Raw(0xF0) => Some(index + 16),
            Symbol::Raw(raw) if raw & 15 == 0 => None,
            Symbol::Raw(raw) => {
                bits.consume(u32::from(raw & 15));
                Some(index + u32::from(raw >> 4) + 1)
            }
        }
    }
}
