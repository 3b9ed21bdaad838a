//! How long each of many things took.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::{During, Failure};

/// Nanoseconds: what takes longer counts as this.
const LONGEST: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// How long each of many things took.
pub struct Times(Histogram<u64>);

impl Times {
    /// None yet.
    pub fn new() -> Result<Self, Failure> {
        Histogram::new_with_max(LONGEST, SIGNIFICANT_DIGITS).map(Self).during("make a histogram")
    }

    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The time in which this share of all was done.
    pub fn microseconds_at(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e3
    }

    /// Nanoseconds, and how many took so long: for [`add_counted`](Self::add_counted) in another process.
    pub fn counted(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
    }

    /// So many more that took so many nanoseconds.
    pub fn add_counted(&mut self, nanoseconds: u64, count: u64) {
        self.0.saturating_record_n(nanoseconds, count);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_microseconds() -> Result<(), Failure> {
        let mut times = Times::new()?;
        for microseconds in 1..=100 {
            times.add(Duration::from_micros(microseconds));
        }
        let mut same = Times::new()?;
        times.counted().for_each(|(nanoseconds, count)| same.add_counted(nanoseconds, count));
        assert_eq!(same.microseconds_at(0.99), times.microseconds_at(0.99));
        let near = |share, expected: f64| (times.microseconds_at(share) - expected).abs() < 0.2;
        assert!(near(0.5, 50.0) && near(0.99, 99.0) && times.count() == 100);
        Ok(())
    }
}
