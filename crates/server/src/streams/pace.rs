//! [`Pace`]: how long a client may still be silent. Only the time in which we wait for it counts: a body that we do not read,
//! because its answer is not read, is not late.

use std::time::Duration;

/// A credit of time: bytes earn it, waiting uses it up.
#[derive(Debug)]
pub(super) struct Pace {
    left: Duration,
    most: Duration,
    bytes_per_second: u64,
}

impl Pace {
    /// Begins with the grace; no more than `most` can be earned, so that nobody is silent for an hour after a fast minute.
    pub(super) fn new(grace: Duration, most: Duration, bytes_per_second: u64) -> Pace {
        Pace { left: grace, most: most.max(grace), bytes_per_second: bytes_per_second.max(1) }
    }

    /// How much longer may be waited for the next byte.
    pub(super) fn left(&self) -> Duration {
        self.left
    }

    pub(super) fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    pub(super) fn came(&mut self, bytes: usize) {
        let earned = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        self.left = (self.left + earned).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn bytes_earn_time_up_to_the_most_and_waiting_uses_it_up() {
        let mut pace = Pace::new(seconds(5), seconds(60), 100);
        assert_eq!(pace.left(), seconds(5));
        pace.waited(seconds(4));
        pace.came(300);
        assert_eq!(pace.left(), seconds(4));
        pace.came(1_000_000);
        assert_eq!(pace.left(), seconds(60));
        pace.waited(seconds(61));
        assert_eq!(pace.left(), Duration::ZERO);
    }

    #[test]
    fn who_keeps_the_rate_is_never_late() {
        let mut pace = Pace::new(seconds(5), seconds(60), 100);
        for _ in 0..10_000 {
            pace.waited(seconds(1));
            assert!(pace.left() > Duration::ZERO);
            pace.came(100);
        }
    }
}
