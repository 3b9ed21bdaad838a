//! How long an app that has failed waits before it is tried again.

use std::time::Duration;

/// After the first failure; it doubles with each.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(30);
/// An app that lived so long had nothing to do with its earlier failures.
const PROVEN: Duration = Duration::from_secs(60);

/// Failures one after the other.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    failures: u32,
}

impl BackOff {
    /// The wait after a failure of an app that had lived so long.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= PROVEN {
            self.failures = 0;
        }
        self.failures += 1;
        FIRST.saturating_mul(2u32.saturating_pow(self.failures - 1)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_limit_and_begins_anew() {
        let mut back_off = BackOff::default();
        let waits: Vec<u64> = (0..7).map(|_| back_off.after(Duration::ZERO).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(back_off.after(PROVEN), FIRST);
    }
}
