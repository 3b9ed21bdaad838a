//! The file around the blocks: markers and headers, and bits with the byte stuffing that the format wants.

use super::Component;
use super::huffman::CodeTable;
use super::quantise::Quantisers;

/// Collects bits, most significant first, and writes bytes; a byte of ones is followed by a zero byte.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// The newest bits, right-aligned.
    window: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, window: 0, count: 0 }
    }

    /// Appends the low `length` (at most 32) bits of `bits`.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u32, length: u32) {
        self.window = self.window << length | u64::from(bits);
        self.count += length;
        if self.count >= 32 {
            self.flush();
        }
    }

    #[inline(always)]
    fn flush(&mut self) {
        self.count -= 32;
        let word = (self.window >> self.count) as u32;
        let inverted = !word;
        if inverted.wrapping_sub(0x0101_0101) & word & 0x8080_8080 == 0 {
            self.out.extend_from_slice(&word.to_be_bytes());
        } else {
            word.to_be_bytes().into_iter().for_each(|byte| self.byte(byte));
        }
    }

    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
        if byte == 0xFF {
            self.out.push(0);
        }
    }

    /// Fills the last byte with ones.
    pub(super) fn finish(mut self) {
        let missing = self.count.wrapping_neg() % 8;
        self.window = self.window << missing | ((1 << missing) - 1);
        self.count += missing;
        while self.count > 0 {
            self.count -= 8;
            self.byte((self.window >> self.count) as u8);
        }
    }
}

/// How a frame is coded; the value is the marker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Baseline = 0xC0,
    Progressive = 0xC2,
}

/// Start marker, JFIF header, quantisation tables, frame.
pub(super) fn head(
    out: &mut Vec<u8>,
    coding: Coding,
    (width, height): (u32, u32),
    components: &[Component],
    tables: &[Quantisers; 2],
) {
    out.extend_from_slice(&[0xFF, 0xD8]);
    // JFIF 1.1, square pixels, no thumbnail.
    segment(out, 0xE0, &[b"JFIF\0\x01\x01\x00\x00\x01\x00\x01\x00\x00"]);
    for (index, table) in tables.iter().enumerate().take(components.len()) {
        segment(out, 0xDB, &[&[index as u8], &table.in_file]);
    }
    let mut frame = vec![8, (height >> 8) as u8, height as u8, (width >> 8) as u8, width as u8, components.len() as u8];
    for (index, component) in components.iter().enumerate() {
        frame.extend_from_slice(&[
            index as u8 + 1,
            (component.across << 4 | component.down) as u8,
            component.class as u8,
        ]);
    }
    segment(out, coding as u8, &[&frame]);
}

/// What a Huffman table is for; the value is the format's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Means = 0,
    Waves = 1,
}

/// A Huffman table for `slot`.
pub(super) fn huffman(out: &mut Vec<u8>, kind: Kind, slot: usize, table: &CodeTable) {
    segment(out, 0xC4, &[&[(kind as u8) << 4 | slot as u8], &table.lengths, &table.symbols]);
}

/// The header of a scan over coefficients `first` to `last`: its components, and the slot of the tables of each.
pub(super) fn scan(out: &mut Vec<u8>, parts: &[(usize, usize)], (first, last): (usize, usize)) {
    let mut header = vec![parts.len() as u8];
    for &(component, slot) in parts {
        header.extend_from_slice(&[component as u8 + 1, (slot << 4 | slot) as u8]);
    }
    header.extend_from_slice(&[first as u8, last as u8, 0]);
    segment(out, 0xDA, &[&header]);
}

fn segment(out: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.extend_from_slice(&[0xFF, marker, (length >> 8) as u8, length as u8]);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}
