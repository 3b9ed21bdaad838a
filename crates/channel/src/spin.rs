//! [`Spin`]: when to look a little longer before sleeping.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// So many vain attempts in a row, and the next ones are left out.
const PATIENCE: u32 = 4;
/// Attempts left out after that, before one more is made.
const PAUSE: u32 = 64;

/// Decides from how the last waits ended whether the next one begins with looking. Shared by all who wait on one
/// channel; the counter is a hint, so races on it do no harm.
#[derive(Debug)]
pub(crate) struct Spin {
    longest: Duration,
    /// Vain attempts in a row; from [`PATIENCE`] on, those that were left out as well.
    vain: AtomicU32,
}

impl Spin {
    pub(crate) fn new(longest: Duration) -> Spin {
        Spin { longest: if under_a_quota() { Duration::ZERO } else { longest }, vain: AtomicU32::new(0) }
    }

    /// Until when to look; nothing if not at all.
    pub(crate) fn begin(&self) -> Option<Instant> {
        if self.longest.is_zero() {
            return None;
        }
        let vain = self.vain.load(Ordering::Relaxed);
        if vain < PATIENCE {
            return Instant::now().checked_add(self.longest);
        }
        let next = if vain >= PATIENCE + PAUSE { PATIENCE - 1 } else { vain + 1 };
        self.vain.store(next, Ordering::Relaxed);
        None
    }

    /// Looking has found something in time, or has not.
    pub(crate) fn ended(&self, found: bool) {
        let vain = if found { 0 } else { self.vain.load(Ordering::Relaxed).saturating_add(1) };
        self.vain.store(vain, Ordering::Relaxed);
    }
}

/// A quota counts what is burnt by looking against the work.
fn under_a_quota() -> bool {
    static QUOTA: OnceLock<bool> = OnceLock::new();
    *QUOTA.get_or_init(|| phalanx_memory::cpu_quota().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_in_vain_is_left_out_and_tried_again_later() {
        let spin = Spin { longest: Duration::from_micros(20), vain: AtomicU32::new(0) };
        for _ in 0..PATIENCE {
            assert!(spin.begin().is_some());
            spin.ended(false);
        }
        let left_out = (0..1000).take_while(|_| spin.begin().is_none()).count();
        assert_eq!(left_out, PAUSE as usize + 1);
        spin.ended(true);
        assert!(spin.begin().is_some());
    }

    #[test]
    fn no_time_means_never() {
        assert!(Spin::new(Duration::ZERO).begin().is_none());
    }
}
