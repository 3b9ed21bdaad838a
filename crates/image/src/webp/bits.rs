//! The arithmetic decoder of VP8: one decision at a time, each with its probability. What was read of the data waits in 64 bits, so that
//! memory is touched once for about fifty decisions.
//!
//! Data that ends early is no error here: zeros follow, and [`Decisions::are_over`] says so. Whoever reads asks now and then.

/// Reads decisions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decisions<'a> {
    /// Where the data lies within the range, the bits that count first at the top.
    window: u64,
    /// Bits of the window that are data.
    bits: i32,
    /// 128 to 255.
    range: u32,
    data: &'a [u8],
    /// A decision was made that the data does not hold.
    over: bool,
}

/// Bits that a decision looks at.
const LOOK_AHEAD: i32 = 8;

impl<'a> Decisions<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { window: 0, bits: 0, range: 255, data, over: false }
    }

    /// Whether more was asked for than there is.
    pub(super) fn are_over(&self) -> bool {
        self.over
    }

    #[inline(always)]
    fn fill(&mut self) {
        if self.bits < LOOK_AHEAD {
            if let Some((next, _)) = self.data.split_first_chunk::<8>() {
                // As many whole bytes as there is room for; those bits of the next one that fit too are read again next time.
                self.window |= u64::from_be_bytes(*next) >> self.bits;
                let bytes = (63 - self.bits) >> 3;
                self.data = self.data.get(bytes as usize..).unwrap_or_default();
                self.bits += bytes * 8;
            } else {
                *self = self.filled_by_byte();
            }
        }
    }

    /// Near the end of the data, and beyond.
    #[cold]
    #[inline(never)]
    fn filled_by_byte(mut self) -> Self {
        match self.data.split_first() {
            Some((&byte, rest)) => {
                self.window |= u64::from(byte) << (56 - self.bits);
                self.data = rest;
            }
            None => self.over = true,
        }
        self.bits += 8;
        self
    }

    /// A decision that is `false` with a probability of `probability` / 256.
    #[inline(always)]
    pub(super) fn next(&mut self, probability: u8) -> bool {
        self.fill();
        let split = 1 + (((self.range - 1) * u32::from(probability)) >> 8);
        let at = u64::from(split) << 56;
        let answer = self.window >= at;
        if answer {
            self.window -= at;
            self.range -= split;
        } else {
            self.range = split;
        }
        let shift = self.range.leading_zeros() - 24;
        self.range <<= shift;
        self.window <<= shift;
        self.bits -= shift as i32;
        answer
    }

    /// `value`, or its negative: both are as likely.
    #[inline(always)]
    pub(super) fn signed(&mut self, value: i32) -> i32 {
        if self.next(128) { -value } else { value }
    }

    /// A decision without a bias.
    pub(super) fn flag(&mut self) -> bool {
        self.next(128)
    }

    /// A number of so many bits, the highest first.
    pub(super) fn number(&mut self, bits: u32) -> i32 {
        (0..bits).fold(0, |number, _| number << 1 | i32::from(self.flag()))
    }

    /// A number of so many bits and its sign.
    pub(super) fn signed_number(&mut self, bits: u32) -> i32 {
        let number = self.number(bits);
        if self.flag() { -number } else { number }
    }

    /// A flag, and if it is set a number of so many bits with its sign; else 0.
    pub(super) fn optional_number(&mut self, bits: u32) -> i32 {
        if self.flag() { self.signed_number(bits) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The encoder of RFC 6386, section 7, bit by bit.
    struct Writer {
        out: Vec<u8>,
        low: u64,
        range: u32,
        /// Bits until the next byte is complete.
        bits: u32,
    }

    impl Writer {
        fn put(&mut self, probability: u8, answer: bool) {
            let split = 1 + (((self.range - 1) * u32::from(probability)) >> 8);
            if answer {
                self.low += u64::from(split);
                self.range -= split;
            } else {
                self.range = split;
            }
            while self.range < 128 {
                self.range <<= 1;
                self.shift();
            }
        }

        fn shift(&mut self) {
            self.low <<= 1;
            if self.low >> 32 & 1 == 1 {
                let mut at = self.out.len();
                while at > 0 {
                    at -= 1;
                    self.out[at] = self.out[at].wrapping_add(1);
                    if self.out[at] != 0 {
                        break;
                    }
                }
                self.low &= 0xFFFF_FFFF;
            }
            self.bits -= 1;
            if self.bits == 0 {
                self.out.push((self.low >> 24) as u8);
                self.low &= 0x00FF_FFFF;
                self.bits = 8;
            }
        }
    }

    #[test]
    fn what_an_encoder_writes_is_read_and_the_end_is_noticed() {
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 24
        };
        let decisions: Vec<(u8, bool)> =
            (0..20_000).map(|_| (random().max(1) as u8, random())).map(|(p, r)| (p, r > u32::from(p))).collect();
        let mut writer = Writer { out: Vec::new(), low: 0, range: 255, bits: 24 };
        for &(probability, answer) in &decisions {
            writer.put(probability, answer);
        }
        for _ in 0..32 {
            writer.shift();
        }
        let mut reader = Decisions::new(&writer.out);
        for (index, &(probability, answer)) in decisions.iter().enumerate() {
            assert_eq!(reader.next(probability), answer, "decision {index}");
        }
        assert!(!reader.are_over());
        for _ in 0..100 {
            reader.next(128);
        }
        assert!(reader.are_over());
    }

    #[test]
    fn nothing_at_all_is_over_at_once() {
        let mut reader = Decisions::new(&[]);
        assert!(!reader.are_over());
        reader.flag();
        assert!(reader.are_over());
    }
}
