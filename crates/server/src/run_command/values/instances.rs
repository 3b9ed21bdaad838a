//! How many workers: `4`, `max`, `-1`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// More than a cluster can have.
const MOST: u32 = 1024;

/// A number of workers, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run_command) enum Instances {
    /// So many.
    Exactly(u32),
    /// One for each core, but so many fewer.
    AllCoresBut(u32),
}

impl Instances {
    /// One for each core: also PM2's 0.
    pub(in crate::run_command) const MAX: Instances = Instances::AllCoresBut(0);

    /// How many that are on this machine; at least one.
    pub(in crate::run_command) fn on(self, cores: u32) -> u32 {
        match self {
            Instances::Exactly(number) => number,
            Instances::AllCoresBut(fewer) => cores.saturating_sub(fewer).max(1),
        }
    }

    fn of_number(number: i64) -> Option<Instances> {
        match u32::try_from(number.unsigned_abs()) {
            Ok(amount) if amount > MOST => None,
            Ok(0) => Some(Instances::MAX),
            Ok(amount) if number < 0 => Some(Instances::AllCoresBut(amount)),
            Ok(amount) => Some(Instances::Exactly(amount)),
            Err(_) => None,
        }
    }
}

impl FromStr for Instances {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = if text == "max" { Some(Instances::MAX) } else { text.parse().ok().and_then(Self::of_number) };
        known.ok_or_else(|| {
            format!(
                "{text:?} is no number of instances; write 1 to {MOST}, max, or -1 for one core fewer than there are"
            )
        })
    }
}

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Instances;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of instances, or \"max\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Instances, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Instances, E> {
                number.to_string().parse().map_err(E::custom)
            }
        }
        from.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_max_or_so_many_cores_fewer() {
        let on_four = |text: &str| text.parse::<Instances>().map(|instances| instances.on(4));
        assert_eq!(["1", "7", "max", "0", "-1", "-9"].map(on_four), [1, 7, 4, 4, 3, 1].map(Ok));
        for text in ["", "many", "1025", "-5000", "1.5", "99999999999999999999"] {
            assert!(on_four(text).unwrap_err().contains("is no number of instances"), "{text:?}");
        }
    }
}
