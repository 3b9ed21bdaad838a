//! [`Random`]: every random choice of a run, from its one seed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// A reproducible sequence (SplitMix64; Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of one scenario: the same seed gives it the same choices, whichever others run.
    pub(crate) fn new(seed: u64, scenario: &str) -> Random {
        let mut hasher = DefaultHasher::new();
        (seed, scenario).hash(&mut hasher);
        Random(hasher.finish())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }

    /// From nothing to `longest`.
    pub(crate) fn duration(&mut self, longest: Duration) -> Duration {
        longest.mul_f64((self.next() >> 11) as f64 / (1u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_scenario_make_the_same_choices() {
        let choices = |seed, name| {
            let mut random = Random::new(seed, name);
            (0..10).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(choices(1, "kill"), choices(1, "kill"));
        assert_ne!(choices(1, "kill"), choices(2, "kill"));
        assert_ne!(choices(1, "kill"), choices(1, "reload"));
    }
}
