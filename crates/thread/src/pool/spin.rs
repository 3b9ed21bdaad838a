//! Whether an idle thread spins before it sleeps.
//!
//! To wake a thread on another core costs 30 µs on a virtual machine; a thread that still spins takes the job in a
//! tenth of a microsecond. But spinning burns a core. So a thread spins only while fewer threads are busy than there
//! are cores, only while its recent spins paid off, never under a processor quota, and never for long.

use std::time::{Duration, Instant};

/// How long a spin lasts at most: what a lone caller needs to submit the next job, with some to spare.
const LONGEST_SPIN: Duration = Duration::from_micros(10);
/// Looks between two readings of the clock.
const LOOKS_PER_READING: u32 = 8;

/// A spin that found a job earns this much credit; one in vain costs 1.
const REWARD: u8 = 4;
const MOST_CREDIT: u8 = 16;
/// Without credit, every so many idle moments a spin is tried.
const TRIAL_EVERY: u32 = 64;

/// Whether spins of one thread pay off.
#[derive(Debug)]
pub(crate) struct Spinner {
    credit: u8,
    moments: u32,
}

impl Spinner {
    pub(crate) fn new() -> Spinner {
        Spinner { credit: REWARD, moments: 0 }
    }

    /// Whether to spin in this idle moment.
    pub(crate) fn is_worth_it(&mut self) -> bool {
        self.moments = self.moments.wrapping_add(1);
        self.credit > 0 || self.moments.is_multiple_of(TRIAL_EVERY)
    }

    /// Spins while `looks_empty`, and remembers whether it was of use.
    pub(crate) fn spin(&mut self, looks_empty: impl Fn() -> bool) {
        let found = spin_while(looks_empty);
        self.credit = if found { (self.credit + REWARD).min(MOST_CREDIT) } else { self.credit.saturating_sub(1) };
    }
}

fn spin_while(looks_empty: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + LONGEST_SPIN;
    loop {
        for _ in 0..LOOKS_PER_READING {
            if !looks_empty() {
                return true;
            }
            std::hint::spin_loop();
        }
        if Instant::now() >= deadline {
            return !looks_empty();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_whose_spins_never_pay_off_stops_but_for_a_rare_trial() {
        let mut spinner = Spinner::new();
        let mut spins = 0;
        for _ in 0..TRIAL_EVERY * 10 {
            if spinner.is_worth_it() {
                spins += 1;
                spinner.spin(|| true);
            }
        }
        assert!(spins <= u32::from(REWARD) + 10, "{spins} spins in vain");
    }

    #[test]
    fn one_success_makes_it_spin_again() {
        let mut spinner = Spinner { credit: 0, moments: 0 };
        spinner.spin(|| false);
        assert!(spinner.is_worth_it());
    }

    #[test]
    fn a_spin_ends_when_a_job_comes() {
        let looks = std::cell::Cell::new(0);
        assert!(spin_while(|| {
            looks.set(looks.get() + 1);
            looks.get() < 3
        }));
        assert_eq!(looks.get(), 3);
    }
}
