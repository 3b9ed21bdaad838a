//! [`BigInt`]: an integer of any size, as it travels.

/// An integer of JavaScript that is no number. It is only carried: for arithmetic, convert it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct BigInt {
    negative: bool,
    /// Least significant word first, without leading zeros.
    words: Vec<u64>,
}

impl BigInt {
    /// The integer with this sign and this magnitude, least significant word first.
    pub fn from_words(negative: bool, mut words: Vec<u64>) -> BigInt {
        while words.last() == Some(&0) {
            words.pop();
        }
        BigInt { negative: negative && !words.is_empty(), words }
    }

    /// Is it below zero?
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// The magnitude, least significant word first, without leading zeros.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    fn magnitude(&self) -> Option<u128> {
        match *self.words {
            [] => Some(0),
            [low] => Some(low.into()),
            [low, high] => Some(u128::from(high) << 64 | u128::from(low)),
            _ => None,
        }
    }
}

impl From<u128> for BigInt {
    fn from(value: u128) -> BigInt {
        let (low, high) = (value & u128::from(u64::MAX), value >> 64);
        BigInt::from_words(false, [low, high].iter().filter_map(|&word| u64::try_from(word).ok()).collect())
    }
}

impl From<i128> for BigInt {
    fn from(value: i128) -> BigInt {
        BigInt { negative: value < 0, ..BigInt::from(value.unsigned_abs()) }
    }
}

impl From<u64> for BigInt {
    fn from(value: u64) -> BigInt {
        BigInt::from(u128::from(value))
    }
}

impl From<i64> for BigInt {
    fn from(value: i64) -> BigInt {
        BigInt::from(i128::from(value))
    }
}

/// Nothing if it does not fit.
impl TryFrom<&BigInt> for u128 {
    type Error = OutOfRange;

    fn try_from(value: &BigInt) -> Result<u128, OutOfRange> {
        if value.negative { Err(OutOfRange) } else { value.magnitude().ok_or(OutOfRange) }
    }
}

impl TryFrom<&BigInt> for i128 {
    type Error = OutOfRange;

    fn try_from(value: &BigInt) -> Result<i128, OutOfRange> {
        let magnitude = value.magnitude().ok_or(OutOfRange)?;
        if value.negative { 0i128.checked_sub_unsigned(magnitude) } else { i128::try_from(magnitude).ok() }
            .ok_or(OutOfRange)
    }
}

/// A [`BigInt`] is too large for the type, or below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange;

impl std::fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the integer is out of the range of this type")
    }
}

impl std::error::Error for OutOfRange {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integer_comes_back_from_its_words() {
        for value in [0, 1, -1, i64::MAX as i128, i64::MIN as i128, 1 << 64, i128::MAX, i128::MIN] {
            assert_eq!(i128::try_from(&BigInt::from(value)), Ok(value));
        }
        assert_eq!(u128::try_from(&BigInt::from(u128::MAX)), Ok(u128::MAX));
        assert_eq!(i128::try_from(&BigInt::from(u128::MAX)), Err(OutOfRange));
        assert_eq!(u128::try_from(&BigInt::from(-1i64)), Err(OutOfRange));
    }

    #[test]
    fn there_is_one_zero_and_no_leading_zeros() {
        assert_eq!(BigInt::from_words(true, vec![0, 0]), BigInt::from(0u64));
        assert_eq!(BigInt::from_words(false, vec![7, 0]).words(), [7]);
    }
}
