//! Whether who has nothing to do spins before it sleeps: an idle thread for the next job, and who awaits the only job of
//! the pool for its result.
//!
//! To wake somebody on another core costs 4 to 30 µs on a virtual machine; who still spins sees a job or a result in a
//! tenth of a microsecond. But spinning burns a core, and on an event loop it holds up the other tasks. So it is done only
//! while fewer threads are busy than there are cores, only while it recently paid off, never under a processor quota, and
//! never for long.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a thread spins at most: what a lone caller needs to submit the next job, with some to spare.
pub(crate) const FOR_A_JOB: Duration = Duration::from_micros(10);
/// How long an event loop spins at most: what a spinning thread needs for a tiny job, and less than its own sleep and
/// wake-up would cost it.
pub(crate) const FOR_A_RESULT: Duration = Duration::from_micros(3);
/// Looks between two readings of the clock.
const LOOKS_PER_READING: u32 = 8;

/// A spin that found something earns this much credit; one in vain costs 1.
const REWARD: u8 = 4;
const MOST_CREDIT: u8 = 16;
/// Without credit, every so many idle moments a spin is tried.
const TRIAL_EVERY: u32 = 64;

/// Whether spins pay off. Races on it do no harm: it is a hint.
#[derive(Debug)]
pub(crate) struct Spinner {
    longest: Duration,
    credit: AtomicU8,
    moments: AtomicU32,
}

impl Spinner {
    pub(crate) fn new(longest: Duration) -> Spinner {
        Spinner { longest, credit: AtomicU8::new(REWARD), moments: AtomicU32::new(0) }
    }

    /// Whether to spin in this idle moment.
    pub(crate) fn is_worth_it(&self) -> bool {
        if self.credit.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let moments = self.moments.load(Ordering::Relaxed).wrapping_add(1);
        self.moments.store(moments, Ordering::Relaxed);
        moments.is_multiple_of(TRIAL_EVERY)
    }

    /// Spins until `is_there`, and remembers whether it was of use.
    pub(crate) fn spin(&self, is_there: impl Fn() -> bool) -> bool {
        let found = spin_until(self.longest, is_there);
        let credit = self.credit.load(Ordering::Relaxed);
        let credit = if found { (credit + REWARD).min(MOST_CREDIT) } else { credit.saturating_sub(1) };
        self.credit.store(credit, Ordering::Relaxed);
        found
    }
}

fn spin_until(longest: Duration, is_there: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + longest;
    loop {
        for _ in 0..LOOKS_PER_READING {
            if is_there() {
                return true;
            }
            std::hint::spin_loop();
        }
        if Instant::now() >= deadline {
            return is_there();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn spins_that_never_pay_off_end_but_for_a_rare_trial() {
        let spinner = Spinner::new(FOR_A_JOB);
        let mut spins = 0;
        for _ in 0..TRIAL_EVERY * 10 {
            if spinner.is_worth_it() {
                spins += 1;
                assert!(!spinner.spin(|| false));
            }
        }
        assert!(spins <= u32::from(REWARD) + 10, "{spins} spins in vain");
    }

    #[test]
    fn one_success_makes_it_spin_again() {
        let spinner = Spinner { credit: AtomicU8::new(0), ..Spinner::new(FOR_A_JOB) };
        assert!(spinner.spin(|| true));
        assert!(spinner.is_worth_it());
    }

    #[test]
    fn a_spin_ends_when_something_comes() {
        let looks = std::cell::Cell::new(0);
        assert!(spin_until(Duration::from_secs(60), || {
            looks.set(looks.get() + 1);
            looks.get() == 3
        }));
        assert_eq!(looks.get(), 3);
    }
}
