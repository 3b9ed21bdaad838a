//! Moments on the monotonic clock, which is the same for all processes of the machine.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

use super::wire::NO_DEADLINE;

/// As a number that another process understands.
pub(crate) fn to_shared(deadline: Option<Instant>) -> u64 {
    let Some(deadline) = deadline else { return NO_DEADLINE };
    let now = now();
    let left = deadline.saturating_duration_since(Instant::now());
    u64::try_from((now + left).as_nanos()).unwrap_or(NO_DEADLINE)
}

/// What another process meant.
pub(crate) fn from_shared(deadline: u64) -> Option<Instant> {
    if deadline == NO_DEADLINE {
        return None;
    }
    Instant::now().checked_add(Duration::from_nanos(deadline).saturating_sub(now()))
}

fn now() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    Duration::new(tv_sec.unsigned_abs(), u32::try_from(tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_means_the_same_on_both_sides() {
        let deadline = Instant::now() + Duration::from_secs(3);
        let there = from_shared(to_shared(Some(deadline))).unwrap();
        let apart = there.max(deadline) - there.min(deadline);
        assert!(apart < Duration::from_secs(1), "{apart:?} apart");
        assert_eq!(from_shared(to_shared(None)), None);
        let past = Instant::now();
        assert!(from_shared(to_shared(Some(past))).unwrap() <= Instant::now());
    }
}
