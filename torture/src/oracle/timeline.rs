//! [`Timeline`]: how many right answers came in each hundredth of a second.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Width of a slice.
const SLICE: Duration = Duration::from_millis(10);
/// So many slices are kept, 20 minutes of them; what comes later is not counted.
const SLICES: usize = 120_000;
/// Throughput counts as full again from this part of what it was before.
const FULL: f64 = 0.9;
/// Slices that are looked at together: one alone is too noisy.
const WINDOW: usize = 5;

/// Answers over time.
#[derive(Debug)]
pub(crate) struct Timeline {
    began: Instant,
    slices: Vec<AtomicU32>,
}

impl Timeline {
    pub(crate) fn new() -> Timeline {
        Timeline { began: Instant::now(), slices: (0..SLICES).map(|_| AtomicU32::new(0)).collect() }
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn answered(&self) {
        if let Some(slice) = self.slices.get(self.slice_of(Instant::now())) {
            slice.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers so far.
    pub(crate) fn total(&self) -> u64 {
        self.slices.iter().map(|slice| u64::from(slice.load(Ordering::Relaxed))).sum()
    }

    /// Answers per second between two moments.
    pub(crate) fn rate(&self, from: Instant, to: Instant) -> f64 {
        let slices = &self.slices[self.slice_of(from)..self.slice_of(to).max(self.slice_of(from))];
        let answers: u64 = slices.iter().map(|slice| u64::from(slice.load(Ordering::Relaxed))).sum();
        answers as f64 / (slices.len().max(1) as f64 * SLICE.as_secs_f64())
    }

    /// From `event` to the first window in which the rate was again what it was between `from` and `to`, nearly.
    pub(crate) fn recovery(&self, event: Instant, from: Instant, to: Instant) -> Option<Duration> {
        let wanted = self.rate(from, to) * FULL * SLICE.as_secs_f64() * WINDOW as f64;
        let first = self.slice_of(event) + 1;
        let last = self.slice_of(Instant::now());
        let counts: Vec<f64> =
            self.slices.get(first..last)?.iter().map(|slice| f64::from(slice.load(Ordering::Relaxed))).collect();
        let at = counts.windows(WINDOW).position(|window| window.iter().sum::<f64>() >= wanted)?;
        Some(SLICE * at as u32)
    }

    fn slice_of(&self, moment: Instant) -> usize {
        let passed = moment.saturating_duration_since(self.began).as_millis() / SLICE.as_millis();
        usize::try_from(passed).unwrap_or(SLICES).min(SLICES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_recovers_at_the_first_full_window() {
        let began = Instant::now() - Duration::from_secs(2);
        let timeline = Timeline { began, slices: (0..SLICES).map(|_| AtomicU32::new(0)).collect() };
        // A second of 10 answers a slice, then 300 ms of nothing, then as before.
        for slice in (0..100).chain(130..200) {
            timeline.slices[slice].store(10, Ordering::Relaxed);
        }
        let second = began + Duration::from_secs(1);
        assert_eq!(timeline.rate(began, second).round(), 1000.0);
        let recovery = timeline.recovery(second, began, second).unwrap();
        assert_eq!(recovery, Duration::from_millis(290));
        assert_eq!(timeline.total(), 1700);
    }
}
