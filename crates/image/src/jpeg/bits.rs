//! Bits of an entropy-coded segment: unstuffed ahead of their use, so that taking them knows neither markers nor ends.
//!
//! A stuffed zero behind every 0xFF and a marker that may come at any byte make every refill of a bit reader a question. Here the bytes are
//! unstuffed some KiB ahead into a small buffer, behind whose last byte zeros follow. Taking bits is then free of branches: load eight
//! bytes, shift, or. What may still be wrong shows afterwards: who consumed more bits than there were, read zeros that nobody wrote.
//!
//! ```text
//! data ── unstuff ──▶ ahead: [ consumed │ position ─▶ … filled │ zeros ]
//!                                          └ Cursor: window (64 bits), count
//! ```

/// Bytes that are unstuffed ahead, a power of two.
const AHEAD_BYTES: usize = 4096;
/// Most bytes that one block takes: 64 symbols of 16 bits of code and 15 of value; rounded up.
const BLOCK_BYTES: usize = 256;
/// What a load touches behind its position.
const LOAD_BYTES: usize = 8;
/// Zeros behind the last byte: a block that starts within the first of them, and what its loads touch.
const ZERO_BYTES: usize = 3 * BLOCK_BYTES;
/// Most real bytes in the buffer.
const MOST_FILLED: usize = AHEAD_BYTES - ZERO_BYTES;

/// Unstuffed bytes; any position gives a load without a check.
#[derive(Clone)]
pub(super) struct Ahead([u8; AHEAD_BYTES + LOAD_BYTES]);

impl Ahead {
    #[inline(always)]
    fn load(&self, position: usize) -> u64 {
        let position = position % AHEAD_BYTES;
        match self.0[position..position + LOAD_BYTES].first_chunk() {
            Some(&bytes) => u64::from_be_bytes(bytes),
            None => 0,
        }
    }
}

/// The place in the bits. Small enough to live in registers: loops take a copy of the reader's and give it back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    /// The next bits, left-aligned. Below `count` there may be bits of the byte at `position`: OR-ing it in again changes nothing.
    window: u64,
    /// Bits in the window; only the low six bits of it count, the others are whatever table entries carry above their length.
    count: u32,
    position: usize,
}

impl Cursor {
    /// Brings the bits in the window to at least 56.
    #[inline(always)]
    pub(super) fn refill(&mut self, ahead: &Ahead) {
        self.window |= ahead.load(self.position) >> (self.count & 63);
        self.position += ((!self.count & 63) >> 3) as usize;
        self.count |= 56;
    }

    /// The next `bits` bits (1 to 32), not consumed.
    #[inline(always)]
    pub(super) fn peek(&self, bits: u32) -> u32 {
        (self.window >> ((64 - bits) & 63)) as u32
    }

    /// Drops as many bits as the low six bits of `bits` say: table entries carry their length there, and need no mask.
    #[inline(always)]
    pub(super) fn consume(&mut self, bits: u32) {
        self.window = self.window.wrapping_shl(bits);
        self.count = self.count.wrapping_sub(bits);
    }

    /// Bits in the window.
    #[inline(always)]
    fn count(&self) -> u32 {
        self.count & 63
    }

    /// Takes `bits` bits (0 to 16) as a number.
    #[inline(always)]
    pub(super) fn take(&mut self, bits: u32) -> u32 {
        let value = (self.window >> 1 >> (63 - (bits & 63))) as u32;
        self.consume(bits);
        value
    }

    /// The `bits` bits (0 to 63) that begin `skipped` bits on, as a number; nothing is consumed.
    #[inline(always)]
    pub(super) fn look(&self, skipped: u32, bits: u32) -> u64 {
        self.window << (skipped & 63) >> 1 >> ((63 - bits) & 63)
    }

    /// The value of a coefficient of `size` (0 to 15) whose extra bits begin `skipped` bits on; nothing is consumed.
    #[inline(always)]
    pub(super) fn value(&self, skipped: u32, size: u32) -> i32 {
        let bits = self.window << (skipped & 63);
        let raw = (bits >> 1 >> ((63 - size) & 63)) as i32;
        // All ones when the first bit is 0, which means a negative value.
        let negative = !((bits as i64) >> 63) as i32;
        raw + (negative & ((-1i32 << (size & 31)) + 1))
    }
}

/// Reads bits, most significant first. After the end (or before a marker) it delivers zeros and remembers it.
#[derive(Clone)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    /// Position in `data` of what is to be unstuffed next.
    next: usize,
    ahead: Ahead,
    /// Bytes in `ahead` that stand in the data.
    filled: usize,
    /// From this position on, a whole block may not be there: [`BitReader::fetch`].
    low: usize,
    /// `next` is at a marker or at the end.
    ended: bool,
    cursor: Cursor,
    /// A code was met that stands in no table, or zeros were read that nobody wrote.
    invalid: bool,
}

impl<'a> BitReader<'a> {
    /// Reads `data`, which must end before the marker that ends the scan.
    pub(super) fn new(data: &'a [u8]) -> Self {
        let mut reader = Self {
            data,
            next: 0,
            ahead: Ahead([0; AHEAD_BYTES + LOAD_BYTES]),
            filled: 0,
            low: 0,
            ended: false,
            cursor: Cursor { window: 0, count: 0, position: 0 },
            invalid: false,
        };
        reader.fetch();
        reader
    }

    /// Begins anew with `data`: for the next interval, without clearing what is ahead.
    pub(super) fn reset(&mut self, data: &'a [u8]) {
        (self.data, self.next, self.filled, self.ended, self.invalid) = (data, 0, 0, false, false);
        self.cursor = Cursor { window: 0, count: 0, position: 0 };
        self.fetch();
    }

    /// As [`BitReader::block`] for a loop that keeps the cursor over many blocks: the bytes of which `cursor` can take one more.
    #[inline(always)]
    pub(super) fn next_block(&mut self, cursor: &mut Cursor) -> &Ahead {
        if cursor.position >= self.low {
            self.cursor = *cursor;
            self.fetch();
            *cursor = self.cursor;
        }
        &self.ahead
    }

    /// The unstuffed bytes and the place in them, for a loop that keeps both in registers. What is taken until the next
    /// [`BitReader::advance`] must not exceed one block.
    #[inline(always)]
    pub(super) fn block(&mut self) -> (&Ahead, Cursor) {
        if self.cursor.position >= self.low {
            self.fetch();
        }
        (&self.ahead, self.cursor)
    }

    /// Goes on at `cursor`, which came from [`BitReader::block`].
    #[inline(always)]
    pub(super) fn advance(&mut self, cursor: Cursor) {
        self.cursor = cursor;
    }

    /// Unstuffs more bytes, or notes that there are none.
    #[cold]
    #[inline(never)]
    fn fetch(&mut self) {
        if self.ended {
            self.invalid |= self.overrun();
            self.cursor.position = self.filled;
            return;
        }
        // The cursor may stand up to 8 bytes into the zeros.
        let from = self.cursor.position.min(self.filled);
        self.cursor.position -= from;
        self.ahead.0.copy_within(from..self.filled, 0);
        self.filled -= from;
        self.unstuff();
        self.ahead.0[self.filled..][..ZERO_BYTES].fill(0);
        self.low = if self.ended { self.filled + BLOCK_BYTES } else { self.filled.saturating_sub(BLOCK_BYTES) };
    }

    fn unstuff(&mut self) {
        while self.filled < MOST_FILLED {
            let (Some(from), Some(to)) = (
                self.data.get(self.next..).and_then(<[u8]>::first_chunk::<8>),
                self.ahead.0.get_mut(self.filled..).and_then(<[u8]>::first_chunk_mut::<8>),
            ) else {
                break;
            };
            *to = *from;
            let ff = ff_bytes(u64::from_le_bytes(*from));
            if ff == 0 {
                self.next += 8;
                self.filled += 8;
                continue;
            }
            // What stands before the 0xFF is copied. With a zero behind it the 0xFF counts, too; else it is a marker (or fills in front of one).
            let before = ff.trailing_zeros() as usize / 8;
            self.next += before;
            self.filled += before;
            if self.data.get(self.next + 1) != Some(&0) {
                self.ended = true;
                return;
            }
            self.next += 2;
            self.filled += 1;
        }
        // The last bytes, one by one.
        while self.filled < MOST_FILLED {
            let (byte, taken) = match (self.data.get(self.next), self.data.get(self.next + 1)) {
                (Some(0xFF), Some(0)) => (0xFF, 2),
                (Some(0xFF) | None, _) => {
                    self.ended = true;
                    return;
                }
                (Some(&byte), _) => (byte, 1),
            };
            self.ahead.0[self.filled] = byte;
            self.filled += 1;
            self.next += taken;
        }
    }

    /// Whether more was consumed than was there.
    fn overrun(&self) -> bool {
        self.cursor.position * 8 > self.filled * 8 + self.cursor.count() as usize
    }

    /// Whole bytes that were not consumed, markers and stuffing included.
    pub(super) fn unread(&self) -> usize {
        let ahead = (self.filled * 8 + self.cursor.count() as usize).saturating_sub(self.cursor.position * 8);
        self.data.len().saturating_sub(self.next) + ahead / 8
    }

    /// Whether more was consumed than the segment holds, or an impossible code was met.
    #[inline(always)]
    pub(super) fn is_broken(&self) -> bool {
        self.invalid || (self.ended && self.overrun())
    }
}

/// The highest bit of each of the eight bytes that is 0xFF; above the first such byte there may be more bits than that.
#[inline(always)]
fn ff_bytes(word: u64) -> u64 {
    // The classic test for a zero byte, on the complement.
    (!word).wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080
}

/// Bytes that are searched for a marker at once.
const SEARCHED_BYTES: usize = 32;

/// The position of the next 0xFF that starts a marker (not `FF 00`, not a fill byte) at or after `from`.
pub(super) fn next_marker(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        // Stuffed bytes do not stop it: they are many.
        while let (Some(these), Some(following)) = (
            data.get(at..).and_then(<[u8]>::first_chunk::<SEARCHED_BYTES>),
            data.get(at + 1..).and_then(<[u8]>::first_chunk::<SEARCHED_BYTES>),
        ) {
            let suspects = these
                .iter()
                .zip(following)
                .fold(0, |sum, (&this, &next)| sum | u8::from(this == 0xFF) & u8::from(next != 0));
            if suspects != 0 {
                break;
            }
            at += SEARCHED_BYTES;
        }
        // Where it stopped, or near the end.
        for _ in 0..SEARCHED_BYTES {
            match (data.get(at)?, data.get(at + 1)?) {
                (0xFF, 0) => at += 2,
                (0xFF, 0xFF) => at += 1,
                (0xFF, _) => return Some(at),
                _ => at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes some bits.
    fn take(bits: &mut BitReader<'_>, count: u32) -> u32 {
        let (ahead, mut cursor) = bits.block();
        cursor.refill(ahead);
        let value = cursor.take(count);
        bits.advance(cursor);
        value
    }

    #[test]
    fn stuffed_bytes_are_unstuffed_and_a_marker_ends_the_bits() {
        let data = [0x12, 0xFF, 0x00, 0x34, 0xFF, 0xD9];
        let mut bits = BitReader::new(&data);
        assert_eq!([8, 8, 8].map(|count| take(&mut bits, count)), [0x12, 0xFF, 0x34]);
        assert!(!bits.is_broken());
        assert_eq!(take(&mut bits, 1), 0);
        assert!(bits.is_broken());
    }

    #[test]
    fn what_is_left_over_is_known_to_the_byte() {
        let data = [0x12, 0xFF, 0x00, 0x34, 0x56, 0x78];
        let mut bits = BitReader::new(&data);
        assert_eq!(bits.unread(), 5, "a stuffed byte counts once");
        take(&mut bits, 9);
        assert_eq!(bits.unread(), 3);
        take(&mut bits, 16);
        take(&mut bits, 15);
        assert_eq!(bits.unread(), 0);
    }

    #[test]
    fn bits_come_in_the_order_of_the_data_across_every_refill() {
        let mut data = Vec::new();
        let mut plain = Vec::new();
        for i in 0..20_000u32 {
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
            assert_eq!(take(&mut bits, width as u32), expected, "at bit {at}");
            at += width;
            width = width % 16 + 1;
        }
        assert!(!bits.is_broken());
    }

    #[test]
    fn markers_are_found_behind_stuffing_and_fill() {
        assert_eq!(next_marker(&[1, 2, 3, 0xFF, 0, 4, 0xFF, 0xFF, 0xD9], 0), Some(7));
        assert_eq!(next_marker(&[0; 40], 0), None);
        for lead in 0..100 {
            let mut data = [0xFF, 0].repeat(lead);
            data.extend(vec![7; lead]);
            data.extend([0xFF, 0xFF, 0xD9]);
            assert_eq!(next_marker(&data, 0), Some(3 * lead + 1), "{lead}");
            assert_eq!(next_marker(&data[..3 * lead + 2], 0), None, "{lead}");
        }
        assert_eq!(next_marker(&[0xFF], 0), None);
        assert_eq!(next_marker(&[], 0), None);
    }
}
