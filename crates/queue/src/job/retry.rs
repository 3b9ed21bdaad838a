//! [`RetryPolicy`]: what happens after an error, and after a crash.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often and when a job is tried again. Errors and crashes are counted apart: a bad picture that kills its worker is stopped after
/// three, a network that is down may be tried more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts that may end with an error (the first one included): default 5.
    pub attempts: u32,
    /// Attempts that may kill their worker or job process: default 3. Then the job is dead as *poison*.
    pub crashes: u32,
    /// The longest wait after the first error: default 1 s. It doubles with each further one.
    pub first: Duration,
    /// The longest wait of all: default 5 min.
    pub cap: Duration,
}

impl RetryPolicy {
    /// Never again: the first error or crash is the end.
    pub fn never() -> RetryPolicy {
        RetryPolicy { attempts: 1, crashes: 1, ..RetryPolicy::default() }
    }

    /// Attempts that may end with an error, at least 1.
    pub fn attempts(mut self, most: u32) -> Self {
        self.attempts = most.max(1);
        self
    }

    /// Attempts that may crash, at least 1.
    pub fn crashes(mut self, most: u32) -> Self {
        self.crashes = most.max(1);
        self
    }

    /// The longest wait after the first error, and the longest of all.
    pub fn backoff(mut self, first: Duration, cap: Duration) -> Self {
        (self.first, self.cap) = (first, cap);
        self
    }

    /// The longest wait after so many errors or crashes (1 is the first): `first × 2^(n−1)`, at most `cap`.
    pub fn ceiling(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(32);
        self.first.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.cap)
    }

    /// The wait after so many: a random part of the ceiling (*full jitter*, as Amazon's Architecture Blog, "Exponential Backoff And
    /// Jitter", 2015, measured it to be best). `random` is uniform in 0…u32::MAX.
    pub fn wait(&self, failures: u32, random: u32) -> Duration {
        self.ceiling(failures).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy { attempts: 5, crashes: 3, first: Duration::from_secs(1), cap: Duration::from_secs(300) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap_and_the_wait_is_a_part_of_it() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.ceiling(1), Duration::from_secs(1));
        assert_eq!(policy.ceiling(4), Duration::from_secs(8));
        assert_eq!(policy.ceiling(99), Duration::from_secs(300));
        assert_eq!(policy.wait(4, 0), Duration::ZERO);
        assert_eq!(policy.wait(4, u32::MAX), Duration::from_secs(8));
    }
}
