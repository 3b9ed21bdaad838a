//! [`Rate`]: how fast, smoothed.

use std::time::Duration;

/// What lies further back than this counts little (a third is older than this).
const MEMORY_SECONDS: f64 = 3.0;
/// A longer time left is not worth a number.
const MOST_ETA_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;

/// Smooths exponentially, and is right from the first moment: the start counts as if nothing had been before it.
#[derive(Debug, Default)]
pub(super) struct Rate {
    smoothed: f64,
    at: Duration,
    count: u64,
}

impl Rate {
    /// It was so far at this time from the start.
    pub(super) fn update(&mut self, count: u64, elapsed: Duration) -> f64 {
        let step = elapsed.saturating_sub(self.at).as_secs_f64();
        if step > 0.0 {
            let rate = count.saturating_sub(self.count) as f64 / step;
            let kept = (-step / MEMORY_SECONDS).exp();
            self.smoothed = self.smoothed * kept + rate * (1.0 - kept);
            self.at = elapsed;
            self.count = count;
        }
        let seen = 1.0 - (-self.at.as_secs_f64() / MEMORY_SECONDS).exp();
        if seen > 0.0 { self.smoothed / seen } else { 0.0 }
    }
}

pub(super) fn eta(left: u64, rate: f64) -> Option<Duration> {
    let seconds = left as f64 / rate;
    (seconds <= MOST_ETA_SECONDS).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_speed_is_told_from_the_first_moment() {
        let mut rate = Rate::default();
        for tenth in 1..50_u64 {
            let told = rate.update(tenth * 100, Duration::from_millis(tenth * 100));
            assert!((told - 1000.0).abs() < 1e-6, "{told}");
        }
    }

    #[test]
    fn a_change_is_followed_within_seconds_and_not_at_once() {
        let mut rate = Rate::default();
        rate.update(100_000, Duration::from_secs(10));
        let soon = rate.update(100_000, Duration::from_millis(10_500));
        assert!((5_000.0..10_000.0).contains(&soon), "{soon}");
        let late = rate.update(100_000, Duration::from_secs(30));
        assert!(late < 100.0, "{late}");
    }

    #[test]
    fn no_speed_is_no_time_left() {
        assert_eq!(eta(10, 0.0), None);
        assert_eq!(eta(0, 0.0), None);
        assert_eq!(eta(u64::MAX, 1e-9), None);
        assert_eq!(eta(100, 50.0), Some(Duration::from_secs(2)));
    }
}
