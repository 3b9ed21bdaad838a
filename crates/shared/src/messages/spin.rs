//! [`Spin`]: when to look a little longer before sleeping.
//!
//! Where both sides look, a message is there in a fraction of a microsecond; to wake a sleeper takes tens of them. So looking
//! pays only if the other side looks too. Who has looked in vain several times gives it up, and both try again at the same
//! time, which the clock of the machine tells them: a try of one side alone would find the other asleep.

use std::time::{Duration, Instant};

use crate::Error;
use crate::futex::monotonic_now;

/// So many vain attempts in a row, and looking is given up.
const PATIENCE: u32 = 4;
/// At the beginning of each such period of the monotonic clock, looking is tried again,
const TRY_EVERY: Duration = Duration::from_millis(10);
/// for so long: enough to wake the other side several times. It costs at most 1.5 % of a core that waits all the time.
const TRY_FOR: Duration = Duration::from_micros(150);
/// Looks between two looks at the clock, which costs more than a look.
const LOOKS: u32 = 32;

/// Decides from how the last waits ended whether the next one begins with looking.
#[derive(Debug)]
pub(super) struct Spin {
    longest: Duration,
    /// Vain attempts in a row.
    vain: u32,
}

impl Spin {
    pub(super) fn new(longest: Duration) -> Spin {
        Spin { longest, vain: 0 }
    }

    /// Until when to look, in a wait of at most `patience`; nothing if not at all.
    pub(super) fn begin(&self, patience: Duration) -> Option<Instant> {
        let longest = self.longest.min(patience);
        if longest.is_zero() || (self.vain >= PATIENCE && !is_time_to_try()) {
            return None;
        }
        Instant::now().checked_add(longest)
    }

    /// Looking has found something in time, or has not.
    pub(super) fn ended(&mut self, found: bool) {
        self.vain = if found { 0 } else { self.vain.saturating_add(1) };
    }
}

/// The same answer in all processes of the machine.
fn is_time_to_try() -> bool {
    let nanoseconds = u128::from(monotonic_now().tv_nsec.unsigned_abs());
    nanoseconds % TRY_EVERY.as_nanos() < TRY_FOR.as_nanos()
}

/// Looks until something is there (true), or the time is over (false).
pub(super) fn look(until: Instant, mut is_there: impl FnMut() -> Result<bool, Error>) -> Result<bool, Error> {
    loop {
        for _ in 0..LOOKS {
            if is_there()? {
                return Ok(true);
            }
            std::hint::spin_loop();
        }
        if Instant::now() >= until {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_in_vain_is_given_up_and_tried_again_later() {
        let mut spin = Spin { longest: Duration::from_micros(20), vain: 0 };
        for _ in 0..PATIENCE {
            assert!(spin.begin(Duration::MAX).is_some());
            spin.ended(false);
        }
        // Both answers come, as the clock goes on.
        let deadline = Instant::now() + Duration::from_secs(20);
        for expected in [false, true, false] {
            while spin.begin(Duration::MAX).is_some() != expected {
                assert!(Instant::now() < deadline, "never {expected}");
            }
        }
        spin.ended(true);
        assert!(spin.begin(Duration::MAX).is_some());
    }

    #[test]
    fn no_time_means_never() {
        let never = Spin { longest: Duration::ZERO, vain: 0 };
        assert!(never.begin(Duration::MAX).is_none());
        let short = Spin { longest: Duration::from_micros(20), vain: 0 };
        assert!(short.begin(Duration::ZERO).is_none());
    }
}
