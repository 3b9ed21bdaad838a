//! [`Looking`]: whether who awaits the only task in flight looks for its answer for a while before it sleeps.
//!
//! The answer to a tiny task of a process that is awake is there in one or two microseconds; to be woken takes tens of them. So
//! it is done while it pays, only while fewer processes work than there are cores, and never under a processor quota.

use std::time::Duration;

/// How long it looks at most: the bound of what a task of some microseconds takes, and less than a sleep and a wake-up cost.
pub(super) const LONGEST: Duration = Duration::from_micros(20);
/// Looks between two readings of the clock.
pub(super) const LOOKS_PER_READING: u32 = 8;

/// What was found in time earns this much credit; a look in vain costs 1.
const REWARD: u8 = 4;
const MOST_CREDIT: u8 = 16;
/// Without credit, every so many times it is tried.
const TRIAL_EVERY: u32 = 64;

#[derive(Debug)]
pub(super) struct Looking {
    may: bool,
    credit: u8,
    moments: u32,
}

impl Looking {
    pub(super) fn new(cores: usize) -> Looking {
        Looking { may: cores > 1 && phalanx_memory::cpu_quota().is_none(), credit: REWARD, moments: 0 }
    }

    /// Whether to look for a while now.
    pub(super) fn is_worth_it(&mut self) -> bool {
        if !self.may || self.credit > 0 {
            return self.may;
        }
        self.moments = self.moments.wrapping_add(1);
        self.moments.is_multiple_of(TRIAL_EVERY)
    }

    pub(super) fn ended(&mut self, found: bool) {
        self.credit = if found { (self.credit + REWARD).min(MOST_CREDIT) } else { self.credit.saturating_sub(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_never_pay_end_but_for_a_rare_trial_and_one_success_brings_them_back() {
        let mut looking = Looking { may: true, credit: REWARD, moments: 0 };
        let mut looks = 0;
        for _ in 0..TRIAL_EVERY * 10 {
            if looking.is_worth_it() {
                looks += 1;
                looking.ended(false);
            }
        }
        assert!(looks <= u32::from(REWARD) + 10, "{looks} looks in vain");
        looking.ended(true);
        assert!(looking.is_worth_it());
        assert!(!Looking { may: false, ..looking }.is_worth_it());
    }
}
