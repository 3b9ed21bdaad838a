//! [`Spinner`]: whether to look a little longer before sleeping, as far as it has paid lately.
//!
//! To wake somebody on another core costs 4 to 30 µs on a virtual machine; who still looks sees what he waits for in a tenth of a
//! microsecond. But looking burns a core. So it is done only while it recently paid off, and never for long. Whoever has a
//! spinner also asks whether there is a core to spare, and no processor quota.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Looks between two readings of the clock.
const LOOKS_PER_READING: u32 = 8;

/// A spin that found something earns this much credit; one in vain costs 1.
const REWARD: u8 = 4;
const MOST_CREDIT: u8 = 16;
/// Without credit, every so many idle moments a spin is tried.
const TRIAL_EVERY: u32 = 64;

/// Remembers whether spins pay off. Races on it do no harm: it is a hint.
///
/// ```
/// use phalanx_shared::Spinner;
/// use std::time::Duration;
///
/// let spinner = Spinner::new(Duration::from_micros(20));
/// assert!(spinner.is_worth_it() && spinner.spin(|| true));
/// while spinner.is_worth_it() {
///     assert!(!spinner.spin(|| false)); // in vain; after some it is given up, but for a rare trial
/// }
/// ```
#[derive(Debug)]
pub struct Spinner {
    longest: Duration,
    credit: AtomicU8,
    moments: AtomicU32,
}

impl Spinner {
    /// Spins for this long at most: less than a sleep and a wake-up would cost.
    pub fn new(longest: Duration) -> Spinner {
        Spinner { longest, credit: AtomicU8::new(REWARD), moments: AtomicU32::new(0) }
    }

    /// Whether to spin in this idle moment.
    #[inline]
    pub fn is_worth_it(&self) -> bool {
        if self.credit.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let moments = self.moments.load(Ordering::Relaxed).wrapping_add(1);
        self.moments.store(moments, Ordering::Relaxed);
        moments.is_multiple_of(TRIAL_EVERY)
    }

    /// Spins until `is_there`, and remembers whether it was of use.
    pub fn spin(&self, is_there: impl Fn() -> bool) -> bool {
        let found = spin_until(self.longest, is_there);
        self.ended(found);
        found
    }

    /// For who spins by himself: it was of use, or not.
    #[inline]
    pub fn ended(&self, found: bool) {
        let credit = self.credit.load(Ordering::Relaxed);
        let credit = if found { (credit + REWARD).min(MOST_CREDIT) } else { credit.saturating_sub(1) };
        self.credit.store(credit, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(10);

    #[test]
    fn spins_that_never_pay_off_end_but_for_a_rare_trial() {
        let spinner = Spinner::new(LONGEST);
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
        let spinner = Spinner { credit: AtomicU8::new(0), ..Spinner::new(LONGEST) };
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
