//! What came out, as one line of JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use measuring::{During, Failure, Report};
use serde::Serialize;

/// Nanoseconds: what takes longer counts as this.
const LONGEST: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Figures of one measurement; what it does not have is left out.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Of a rate, a second; of memory, KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) figure: Option<f64>,
    /// Microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50: Option<f64>,
    /// Microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99: Option<f64>,
    /// KiB resident before it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<f64>,
    /// Workers created and ended a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_second: Option<f64>,
}

impl Figures {
    pub(crate) fn of(figure: f64) -> Self {
        Self { figure: Some(figure), ..Self::default() }
    }

    pub(crate) fn print(self) {
        println!("{}", serde_json::json!(self));
    }
}

impl From<Report> for Figures {
    fn from(report: Report) -> Self {
        Self::of(report.figure)
    }
}

/// How long each of many things took.
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Result<Self, Failure> {
        Histogram::new_with_max(LONGEST, SIGNIFICANT_DIGITS).map(Self).during("make a histogram")
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn microseconds_at(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e3
    }

    /// Adds p50 and p99.
    pub(crate) fn complete(&self, figures: Figures) -> Figures {
        Figures { p50: Some(self.microseconds_at(0.5)), p99: Some(self.microseconds_at(0.99)), ..figures }
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
        let figures = times.complete(Figures::of(2.5));
        let near = |figure: Option<f64>, expected: f64| figure.is_some_and(|figure| (figure - expected).abs() < 0.2);
        assert!(near(figures.p50, 50.0) && near(figures.p99, 99.0), "{figures:?}");
        assert_eq!(figures.figure, Some(2.5));
        Ok(())
    }
}
