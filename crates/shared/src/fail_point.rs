//! Places at which a test can stop a process, to kill it exactly there. In a program that is no test: nothing.

/// Stops here for ever if this is a process that a test started to be killed at `name`.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn reach(_name: &str) {}

#[cfg(test)]
pub(crate) use in_tests::{FAIL_POINT, reach};

#[cfg(test)]
mod in_tests {
    use std::sync::OnceLock;

    use crate::second_process;

    /// Names the place at which a second process stops.
    pub(crate) const FAIL_POINT: &str = "PHALANX_TEST_FAIL_POINT";

    pub(crate) fn reach(name: &str) {
        static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
        if CHOSEN.get_or_init(|| std::env::var(FAIL_POINT).ok()).as_deref() == Some(name) {
            second_process::say("at the fail-point");
            second_process::wait_to_be_killed();
        }
    }
}
