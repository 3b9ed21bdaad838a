//! [`Key`]: where a job stands in its line.

/// Where a job stands in its [`Line`](crate::line::Line), as long as it waits there; later it is the key of nothing. No
/// two places of a line ever have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// The class of a job among those of its priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Cheap,
    Heavy,
}

/// The bits of a key: 4 for the level, 1 for the class, the rest for a number with its sign.
const LEVEL_SHIFT: u32 = 60;
const CLASS_SHIFT: u32 = 59;
const NUMBER_MASK: u64 = (1 << CLASS_SHIFT) - 1;

impl Key {
    /// Of a job that was never in a line: no place has the number 0.
    pub(crate) const NOWHERE: Key = Key(0);

    pub(crate) fn new(level: usize, class: Class, number: i64) -> Key {
        Key((level as u64) << LEVEL_SHIFT | (class as u64) << CLASS_SHIFT | (number as u64 & NUMBER_MASK))
    }

    pub(crate) fn level(self) -> usize {
        (self.0 >> LEVEL_SHIFT) as usize
    }

    pub(crate) fn class(self) -> Class {
        if self.0 >> CLASS_SHIFT & 1 == 0 { Class::Cheap } else { Class::Heavy }
    }

    pub(crate) fn number(self) -> i64 {
        let above = u64::BITS - CLASS_SHIFT;
        (self.0 << above) as i64 >> above
    }

    /// As one number, for an atomic word.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Key {
        Key(bits)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_key_holds_what_was_put_into_it() {
        for (level, class) in [(0, Class::Cheap), (9, Class::Heavy), (4, Class::Heavy)] {
            for number in [1, -1, 12_345, -12_345, (1 << 58) - 1, -(1 << 58)] {
                let key = Key::from_bits(Key::new(level, class, number).to_bits());
                assert_eq!((key.level(), key.class(), key.number()), (level, class, number));
                assert_ne!(key, Key::NOWHERE);
            }
        }
    }
}
