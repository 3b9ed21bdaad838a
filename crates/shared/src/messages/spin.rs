//! [`Spin`]: when to look a little longer before sleeping.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::Error;

/// So many vain attempts in a row, and the next ones are left out.
const PATIENCE: u32 = 4;
/// Attempts left out after that, before one more is made.
const PAUSE: u32 = 64;
/// Looks between two looks at the clock, which costs more than a look.
const LOOKS: u32 = 32;

/// Decides from how the last waits ended whether the next one begins with looking.
#[derive(Debug)]
pub(super) struct Spin {
    longest: Duration,
    /// Vain attempts in a row; from [`PATIENCE`] on, those that were left out as well.
    vain: u32,
}

impl Spin {
    /// On a single core whoever looks keeps the other from doing what is looked for.
    pub(super) fn new(longest: Duration) -> Spin {
        Spin { longest: if has_one_core() { Duration::ZERO } else { longest }, vain: 0 }
    }

    /// Until when to look, in a wait of at most `patience`; nothing if not at all.
    pub(super) fn begin(&mut self, patience: Duration) -> Option<Instant> {
        let longest = self.longest.min(patience);
        if longest.is_zero() {
            return None;
        }
        if self.vain < PATIENCE {
            return Instant::now().checked_add(longest);
        }
        self.vain = if self.vain >= PATIENCE + PAUSE { PATIENCE - 1 } else { self.vain + 1 };
        None
    }

    /// Looking has found something in time, or has not.
    pub(super) fn ended(&mut self, found: bool) {
        self.vain = if found { 0 } else { self.vain.saturating_add(1) };
    }
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

/// As this process began: its affinity, and a quota of its control group.
fn has_one_core() -> bool {
    static ONE: OnceLock<bool> = OnceLock::new();
    *ONE.get_or_init(|| std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_in_vain_is_left_out_and_tried_again_later() {
        let mut spin = Spin { longest: Duration::from_micros(20), vain: 0 };
        for _ in 0..PATIENCE {
            assert!(spin.begin(Duration::MAX).is_some());
            spin.ended(false);
        }
        let left_out = (0..1000).take_while(|_| spin.begin(Duration::MAX).is_none()).count();
        assert_eq!(left_out, PAUSE as usize + 1);
        spin.ended(true);
        assert!(spin.begin(Duration::MAX).is_some());
    }

    #[test]
    fn no_time_means_never() {
        let mut never = Spin { longest: Duration::ZERO, vain: 0 };
        assert!(never.begin(Duration::MAX).is_none());
        let mut short = Spin { longest: Duration::from_micros(20), vain: 0 };
        assert!(short.begin(Duration::ZERO).is_none());
    }
}
