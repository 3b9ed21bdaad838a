//! Bits of an entropy-coded segment: unstuffing, markers, and the knowledge of having read past the end.

/// Bits that are surely there after [`BitReader::refill`]: more than one Huffman code and its extra bits (16 + 15).
const LOW_WATER: u32 = 32;

/// Reads bits, most significant first. After the end (or before a marker) it delivers zeros and remembers it.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
    /// The next bits, left-aligned. Below `count` there may be bits of the byte at `position`: OR-ing it in again changes nothing.
    window: u64,
    count: u32,
    /// Zero bits that were made up; they are always the last of `count`.
    invented: u32,
    /// A code was met that stands in no table.
    invalid: bool,
}

impl<'a> BitReader<'a> {
    /// Reads `data`, which must end before the marker that ends the scan.
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0, window: 0, count: 0, invented: 0, invalid: false }
    }

    /// Makes sure that at least [`LOW_WATER`] bits are in the window.
    #[inline(always)]
    pub(super) fn ensure(&mut self) {
        if self.count < LOW_WATER {
            self.refill();
        }
    }

    #[inline(always)]
    fn refill(&mut self) {
        if let Some(&eight) = self.data.get(self.position..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_be_bytes(eight);
            if !has_ff(word) {
                self.window |= word >> self.count;
                let taken = (63 - self.count) >> 3;
                self.position += taken as usize;
                self.count += taken * 8;
                return;
            }
        }
        self.refill_by_byte();
    }

    #[cold]
    #[inline(never)]
    fn refill_by_byte(&mut self) {
        while self.count <= 56 {
            let byte = match (self.data.get(self.position), self.data.get(self.position + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.position += 2;
                    0xFF
                }
                // A marker, or fill bytes in front of one.
                (Some(0xFF) | None, _) => {
                    self.invented += 8;
                    0
                }
                (Some(&byte), _) => {
                    self.position += 1;
                    byte
                }
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next `bits` bits (1 to 31), not consumed. Call [`BitReader::ensure`] before.
    #[inline(always)]
    pub(super) fn peek(&self, bits: u32) -> u32 {
        (self.window >> (64 - bits)) as u32
    }

    /// Drops `bits` bits that [`BitReader::ensure`] has made sure of.
    #[inline(always)]
    pub(super) fn consume(&mut self, bits: u32) {
        self.window <<= bits;
        self.count -= bits;
    }

    /// Takes one bit.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> bool {
        self.ensure();
        let bit = self.window >> 63;
        self.consume(1);
        bit != 0
    }

    /// Takes `bits` bits (0 to 16) as a number.
    #[inline(always)]
    pub(super) fn bits(&mut self, bits: u32) -> u32 {
        self.ensure();
        let value = (self.window >> 1 >> (63 - bits)) as u32;
        self.consume(bits);
        value
    }

    /// Takes the extra bits of a coefficient of `size` (0 to 15) and gives its value; [`BitReader::ensure`] was called before the code.
    #[inline(always)]
    pub(super) fn extend(&mut self, size: u32) -> i32 {
        let raw = (self.window >> 1 >> (63 - size)) as i32;
        self.consume(size);
        let half = (1 << size) >> 1;
        if raw < half { raw - (1 << size) + 1 } else { raw }
    }

    /// Notes that the bits make no sense.
    pub(super) fn mark_invalid(&mut self) {
        self.invalid = true;
    }

    /// Whether more was consumed than the segment holds, or an impossible code was met.
    #[inline(always)]
    pub(super) fn is_broken(&self) -> bool {
        self.invented > self.count || self.invalid
    }

    /// Goes to the restart marker that ends this interval. `false` when the next marker is another, or none is there.
    pub(super) fn restart(&mut self, expected: u8) -> bool {
        if self.is_broken() {
            return false;
        }
        let Some(marker) = next_marker(self.data, self.position) else { return false };
        if self.data.get(marker + 1) != Some(&(0xD0 | (expected & 7))) {
            return false;
        }
        (self.position, self.window, self.count, self.invented) = (marker + 2, 0, 0, 0);
        true
    }
}

/// Whether one of the eight bytes is 0xFF.
#[inline(always)]
fn has_ff(word: u64) -> bool {
    // The classic test for a zero byte, on the complement.
    let inverted = !word;
    inverted.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 != 0
}

/// The position of the next 0xFF that starts a marker (not `FF 00`, not a fill byte) at or after `from`.
pub(super) fn next_marker(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        while let Some(&eight) = data.get(at..)?.first_chunk::<8>() {
            if has_ff(u64::from_le_bytes(eight)) {
                break;
            }
            at += 8;
        }
        let found = at + data.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        match data.get(found + 1)? {
            0 => at = found + 2,
            0xFF => at = found + 1,
            _ => return Some(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffed_bytes_are_unstuffed_and_a_marker_ends_the_bits() {
        let data = [0x12, 0xFF, 0x00, 0x34, 0xFF, 0xD9];
        let mut bits = BitReader::new(&data);
        assert_eq!((bits.bits(8), bits.bits(8), bits.bits(8)), (0x12, 0xFF, 0x34));
        assert!(!bits.is_broken());
        assert_eq!(bits.bits(1), 0);
        assert!(bits.is_broken());
    }

    #[test]
    fn the_fast_and_the_slow_way_agree() {
        let mut data = Vec::new();
        let mut plain = Vec::new();
        for i in 0..2000u32 {
            let byte = (i.wrapping_mul(2_654_435_761) >> 13) as u8;
            plain.push(byte);
            data.push(byte);
            if byte == 0xFF {
                data.push(0);
            }
        }
        let mut bits = BitReader::new(&data);
        let mut at = 0usize;
        let mut width = 1;
        while at + 16 < plain.len() * 8 {
            let mut expected = 0;
            for i in at..at + width {
                expected = expected << 1 | u32::from(plain[i / 8] >> (7 - i % 8) & 1);
            }
            assert_eq!(bits.bits(width as u32), expected, "at bit {at}");
            at += width;
            width = width % 16 + 1;
        }
        assert!(!bits.is_broken());
    }

    #[test]
    fn markers_are_found_behind_stuffing_and_fill() {
        assert_eq!(next_marker(&[1, 2, 3, 0xFF, 0, 4, 0xFF, 0xFF, 0xD9], 0), Some(7));
        assert_eq!(next_marker(&[0; 40], 0), None);
        assert_eq!(next_marker(&[0xFF], 0), None);
        assert_eq!(next_marker(&[], 0), None);
    }
}
