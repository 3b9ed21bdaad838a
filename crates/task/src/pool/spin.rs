//! [`Looking`]: whether who awaits a task looks for answers for a while before it sleeps.
//!
//! The answer to a tiny task of a process that is awake is there in one or two microseconds; to be woken takes tens of them. So
//! it is done while it pays, only where there are cores to spare, and never under a processor quota.

use std::time::Duration;

use phalanx_shared::Spinner;

/// How long it looks at most: the bound of what a task of some microseconds takes, and less than a sleep and a wake-up cost.
pub(super) const LONGEST: Duration = Duration::from_micros(20);
/// Looks between two readings of the clock.
pub(super) const LOOKS_PER_READING: u32 = 8;

#[derive(Debug)]
pub(super) struct Looking {
    may: bool,
    spinner: Spinner,
}

impl Looking {
    pub(super) fn new(cores: usize) -> Looking {
        Looking { may: cores > 1 && phalanx_memory::cpu_quota().is_none(), spinner: Spinner::new(LONGEST) }
    }

    /// Whether to look for a while now.
    pub(super) fn is_worth_it(&mut self) -> bool {
        self.may && self.spinner.is_worth_it()
    }

    pub(super) fn ended(&mut self, found: bool) {
        self.spinner.ended(found);
    }
}
