//! The scans of a progressive file: the means of one component, or a band of its waves, where blocks that end early are counted in runs.
//! Coefficients are sent once, with all their bits: a decoder then reads every band in one go, and reading them needs no history.

use super::dct::Blocks;
use super::huffman::CodeTable;
use super::symbols::{SIXTEEN_ZEROS, size_and_bits};
use super::writer::BitWriter;

/// First and last coefficient, in the order of the file.
pub(super) type Band = (usize, usize);

/// The longest run of ended blocks that has a symbol.
const LONGEST_RUN: u32 = 0x7FFF;

/// Receives a symbol, and bits that follow it: how many and which.
pub(super) trait Take: FnMut(u8, u32, u32) {}
impl<F: FnMut(u8, u32, u32)> Take for F {}

/// The means of a component, each as the difference to the one before.
pub(super) fn means(blocks: &Blocks, mut take: impl Take) {
    let mut before = 0;
    for (block, _) in blocks.all() {
        let (size, bits) = size_and_bits(i32::from(block[0]) - before);
        before = i32::from(block[0]);
        take(size as u8, size, bits);
    }
}

/// One band of all blocks of a component.
pub(super) fn band(blocks: &Blocks, (first, last): Band, mut take: impl Take) {
    let within = (u64::MAX >> (63 - last)) & (u64::MAX << first);
    let mut ended = 0u32;
    for (block, nonzero) in blocks.all() {
        let mut rest = nonzero & within;
        let mut next = first;
        while rest != 0 {
            flush(&mut ended, &mut take);
            let index = rest.trailing_zeros() as usize & 63;
            rest &= rest - 1;
            let mut run = index - next;
            while run > 15 {
                take(SIXTEEN_ZEROS, 0, 0);
                run -= 16;
            }
            let (size, bits) = size_and_bits(i32::from(block[index]));
            take((run as u32 * 16 + size) as u8, size, bits);
            next = index + 1;
        }
        if next <= last {
            ended += 1;
            if ended == LONGEST_RUN {
                flush(&mut ended, &mut take);
            }
        }
    }
    flush(&mut ended, &mut take);
}

fn flush(ended: &mut u32, take: &mut impl Take) {
    if *ended > 0 {
        let size = ended.ilog2();
        take((size << 4) as u8, size, *ended & ((1 << size) - 1));
        *ended = 0;
    }
}

/// Counted symbols, and the bits that follow them.
pub(super) struct Count {
    pub(super) symbols: [u32; 256],
    extra: u64,
}

impl Count {
    pub(super) fn of(visit: impl FnOnce(&mut dyn FnMut(u8, u32, u32))) -> Self {
        let mut count = Self { symbols: [0; 256], extra: 0 };
        visit(&mut |symbol, length, _| {
            count.symbols[usize::from(symbol)] += 1;
            count.extra += u64::from(length);
        });
        count
    }

    /// Bits of all of it, with its table.
    pub(super) fn bits(&self, table: &CodeTable) -> u64 {
        let codes = |(symbol, &count): (usize, &u32)| u64::from(count) * u64::from(table.code(symbol as u8).1);
        self.symbols.iter().enumerate().map(codes).sum::<u64>() + self.extra + table.bytes() * 8
    }
}

/// Writes what `visit` gives with the codes of `table`.
pub(super) fn write(out: &mut Vec<u8>, table: &CodeTable, visit: impl FnOnce(&mut dyn FnMut(u8, u32, u32))) {
    let mut writer = BitWriter::new(out);
    visit(&mut |symbol, size, bits| {
        let (code, length) = table.code(symbol);
        writer.put(code << size | bits, length + size);
    });
    writer.finish();
}
